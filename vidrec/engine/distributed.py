"""The ranks of a run: one process, or several started by torchrun or Slurm."""

import gc
import os
import re
import time
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module

import numpy as np
import torch
import torch.distributed as td
from torch import nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Distributed:
    """This process among the ranks of the run.

    rank: 0 ... world - 1. local_rank: among the local_world ranks of this machine. device: this
    rank's own.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def wrap(self, net: nn.Module) -> nn.Module:
        """`net` with its gradients averaged over the ranks; `net` itself on one rank."""
        if self.world == 1:
            return net
        devices = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(net, device_ids=devices, gradient_as_bucket_view=True)

    def gather(self, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The rows of all ranks, concatenated in order of rank. Ranks without rows are skipped."""
        if self.world == 1:
            return rows
        parts: list[dict[str, np.ndarray]] = [{} for _ in range(self.world)]
        td.all_gather_object(parts, rows)
        filled = [part for part in parts if all(map(len, part.values()))] or parts[:1]
        return {name: np.concatenate([part[name] for part in filled]) for name in rows}

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set on any rank; the same answer on all."""
        return self.max(float(flag)) > 0

    def max(self, value: float) -> float:
        """The largest `value` of all ranks."""
        if self.world == 1:
            return value
        # On the CPU: reading a flag must not wait for the device.
        largest = torch.tensor(value, dtype=torch.float64)
        td.all_reduce(largest, op=td.ReduceOp.MAX)
        return largest.item()

    def mean_(self, tensors: list[torch.Tensor]) -> None:
        """Replace each tensor by its mean over the ranks."""
        if self.world > 1:
            for tensor in tensors:
                td.all_reduce(tensor)
                tensor /= self.world

    def broadcast_(self, tensors: list[torch.Tensor]) -> None:
        """Replace each tensor by rank 0's."""
        if self.world > 1:
            for tensor in tensors:
                td.broadcast(tensor, src=0)

    def barrier(self) -> None:
        """Wait until every rank is here."""
        self.max(0)

    def stop(self) -> None:
        """Leave the group. Its threads end here, not while the interpreter shuts down."""
        if td.is_initialized():
            gc.collect()  # a DistributedDataParallel that is still in a cycle holds the group
            # So does one in the traceback of an exception: then the threads stay, but get the time
            # that they need to release the last tensors.
            time.sleep(0.05)
            td.destroy_process_group()


def start(device: str = "auto", timeout_minutes: float = 10.0) -> Distributed:
    """Join the other ranks that torchrun or `srun` started, or be the only one.

    device: auto (CUDA if available), cpu or cuda. A rank that waits for the others for longer than
    the timeout fails instead of hanging; torchrun and Slurm then end the rest. Raises ValueError if
    CUDA is requested but missing or the environment does not say where the ranks meet, RuntimeError
    if they cannot meet there.
    """
    rank, world, local_rank, local_world = _place()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda"):
        count = torch.cuda.device_count()
        if local_rank >= count:
            raise ValueError(
                f"runtime.device={device}: rank {rank} is number {local_rank + 1} on this machine, "
                f"which has {count} CUDA devices; start as many ranks as devices, or use "
                "runtime.device=cpu"
            )
        own = torch.device(device if ":" in device else f"cuda:{local_rank}")
        torch.cuda.set_device(own)
    else:
        own = torch.device("cpu")
    if world > 1:
        _rendezvous()
        # DistributedDataParallel imports it anyway. Imported after the group exists, it would keep
        # the group alive, and gloo's threads with it; a thread that still holds a tensor when
        # Python exits aborts the process ("terminate called without an active exception").
        import_module("torch._dynamo")

        try:
            td.init_process_group(
                "cpu:gloo,cuda:nccl" if own.type == "cuda" else "gloo",
                rank=rank,
                world_size=world,
                timeout=timedelta(minutes=timeout_minutes),
            )
        except td.DistNetworkError as error:
            raise RuntimeError(_no_meeting(error)) from None
    return Distributed(rank, world, local_rank, local_world, own)


def _place() -> tuple[int, int, int, int]:
    """rank, world, local rank and local world of this process."""
    env = os.environ
    if "RANK" in env or int(env.get("WORLD_SIZE", 1)) > 1:  # torchrun
        if missing := [name for name in ("RANK", "WORLD_SIZE") if name not in env]:
            raise ValueError(
                f"the environment has one of RANK and WORLD_SIZE but not {missing[0]}: set both or "
                "neither, or start the ranks with torchrun"
            )
        rank, world = int(env["RANK"]), int(env["WORLD_SIZE"])
        if not 0 <= rank < world:
            raise ValueError(f"RANK={rank}, but WORLD_SIZE={world} ranks are 0 to {world - 1}")
        return rank, world, int(env.get("LOCAL_RANK", 0)), int(env.get("LOCAL_WORLD_SIZE", world))
    # A shell inside `salloc` or `sbatch` has SLURM_NTASKS too; only `srun` numbers its tasks'
    # steps.
    if "SLURM_PROCID" in env and int(env.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        world = int(env["SLURM_STEP_NUM_TASKS"])
        here = env.get("SLURM_STEP_TASKS_PER_NODE", str(world)).split("(")[0].split(",")[0]
        return int(env["SLURM_PROCID"]), world, int(env["SLURM_LOCALID"]), int(here)
    if int(env.get("SUBMITIT_LOCAL_NTASKS", 1)) > 1:  # hydra/launcher=submitit_local
        world = int(env["SUBMITIT_LOCAL_NTASKS"])
        rank = int(env["SUBMITIT_LOCAL_GLOBALID"])
        return rank, world, int(env["SUBMITIT_LOCAL_LOCALID"]), world
    return 0, 1, 0, 1


def _rendezvous() -> None:
    """Where the ranks of a Slurm step or of this machine meet, unless the environment says so.

    Raises ValueError if that is not known.
    """
    env = os.environ
    if "MASTER_ADDR" in env and "MASTER_PORT" in env:
        return
    if "SUBMITIT_LOCAL_JOB_ID" in env:
        env["MASTER_ADDR"] = "127.0.0.1"
        env["MASTER_PORT"] = str(20000 + int(env["SUBMITIT_LOCAL_JOB_ID"].split("_")[0]) % 10000)
        return
    if "SLURM_JOB_ID" not in env:
        missing = " and ".join(name for name in ("MASTER_ADDR", "MASTER_PORT") if name not in env)
        raise ValueError(
            f"RANK and WORLD_SIZE are set, but not {missing}: set MASTER_ADDR to the machine of "
            "rank 0 and MASTER_PORT to a free port of it, the same for all ranks, or start the "
            "ranks of one machine with torchrun --standalone --nproc-per-node N"
        )
    nodes = env.get("SLURM_STEP_NODELIST", env.get("SLURM_NODELIST", ""))
    first = "127.0.0.1" if env.get("SLURM_STEP_NUM_NODES") == "1" else first_node(nodes)
    if not first and "MASTER_ADDR" not in env:
        raise ValueError(
            f"the ranks cannot tell from SLURM_STEP_NODELIST={nodes!r} where rank 0 is: set "
            "MASTER_ADDR to its machine, the same for all ranks"
        )
    # Below the ephemeral ports, and another one after a requeue, when the old may still be in use.
    restart = int(env.get("SLURM_RESTART_COUNT", 0))
    port = 20000 + (int(env["SLURM_JOB_ID"]) * 7 + restart) % 10000
    env.setdefault("MASTER_ADDR", first)
    env.setdefault("MASTER_PORT", str(port))


def first_node(nodes: str) -> str:
    """The first machine of a list in Slurm's notation; empty if it is none.

    `scontrol show hostnames` would say it too, but containers lack that program.

    >>> first_node("node[01-03,7],gpu5"), first_node("gpu5,node[1-2]"), first_node("r[2,4]n8-ib")
    ('node01', 'gpu5', 'r2n8-ib')
    """
    head = re.match(r"(?:[^\[\],\s]|\[\d+(?:[-,]\d+)*\])+(?=,|$)", nodes.strip())
    return re.sub(r"\[(\d+)[^\]]*\]", r"\1", head.group()) if head else ""


def _no_meeting(error: td.DistNetworkError) -> str:
    """Why the ranks could not meet, and what to do."""
    address, port = os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
    if "EADDRINUSE" in str(error):
        return (
            f"port {port} of this machine (MASTER_PORT) is in use, perhaps by another run: "
            "torchrun --standalone takes a free one, or set MASTER_PORT to another for all ranks"
        )
    reason = str(error).strip().splitlines()[0]
    return (
        f"the ranks cannot meet at {address}:{port} (MASTER_ADDR, MASTER_PORT): {reason}; set them "
        "to a machine and a free port that all ranks reach"
    )
