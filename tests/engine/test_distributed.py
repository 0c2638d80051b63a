import json
import os
import shutil
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.engine.test_train import by_hand, same
from tests.engine.toy_run import NUM_VAL, untimed
from tests.paths import ROOT
from tests.waiting import LIMIT
from vidrec.engine import distributed, preempt
from vidrec.engine.distributed import Distributed

TOY_RUN = ["-m", "tests.engine.toy_run"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_ranks(command, world=2):
    """The processes that torchrun would start."""
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    return [
        subprocess.Popen(
            [sys.executable, *command],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]


def finish(processes):
    """Exit codes and errors of all ranks; none outlives the test."""
    try:
        errors = [process.communicate(timeout=LIMIT)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], errors


def run_ranks(folder, options, world=2):
    folder.mkdir(exist_ok=True)
    codes, errors = finish(start_ranks([*TOY_RUN, str(folder), json.dumps(options)], world))
    return codes, errors, folder / "log.jsonl"


def read(path):
    return untimed([json.loads(line) for line in path.read_text().splitlines()])


def test_two_ranks_with_micro_batches_are_one_rank_with_all_of_them(tmp_path):
    """Two ranks x two micro-batches x two samples, against eight samples by hand.

    Validation has 4 and 3 samples: the metric checks that each row came once.
    """
    assert NUM_VAL % 2
    options = {
        "schedule": {"batch_size": 2, "accumulate": 2, "ema": 0.9},
        "runtime": {"log_every": 2},
    }
    codes, errors, log = run_ranks(tmp_path / "run", options)
    assert codes == [0, 0], errors
    weights, average, losses, _ = by_hand()
    saved = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    same(saved["net"], weights)
    same(saved["ema"], average)
    logged = [row["train/loss"] for row in read(log) if "train/loss" in row]
    assert logged == pytest.approx(np.reshape(losses, (-1, 2)).mean(axis=1), rel=1e-5)


THREADS = """
import sys, torch
from pathlib import Path
from vidrec.engine import distributed, preempt

dist = distributed.start("cpu", 10.0)
net = dist.wrap(torch.nn.Linear(2, 2))
net(torch.ones(1, 2)).sum().backward()
dist.barrier()
del net
names = lambda: {path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")}
during = {name for name in names() if "gloo" in name}
dist.stop()
assert during, "the threads have other names"
assert not during & names(), names()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="names of threads are in /proc")
def test_no_thread_of_the_group_outlives_it():
    """One that holds a tensor when the interpreter ends aborts the process, once in a while."""
    codes, errors = finish(start_ranks(["-c", THREADS]))
    assert codes == [0, 0], errors


@pytest.mark.slow
def test_ranks_that_were_killed_resume_exactly(tmp_path):
    options = {
        "schedule": {"batch_size": 4, "ema": 0.9, "precise_bn": 2, "epochs": 3},
        "runtime": {"log_every": 3, "save_every_minutes": 0.0},
        "noise": 0.1,
        "dropout": 0.5,
        "norm": True,
    }
    codes, errors, log = run_ranks(tmp_path / "whole", options)
    assert codes == [0, 0], errors
    codes, *_ = run_ranks(tmp_path / "killed", options | {"kill": 8})
    assert codes == [-9, -9]
    codes, errors, killed_log = run_ranks(tmp_path / "killed", options)
    assert codes == [0, 0], errors
    assert read(killed_log) == read(log)
    finals = [torch.load(tmp_path / n / "final.pt", weights_only=True) for n in ("whole", "killed")]
    assert all(torch.equal(finals[0][name], finals[1][name]) for name in finals[0])


@pytest.mark.slow
def test_a_checkpoint_of_two_ranks_goes_on_with_one_or_four(tmp_path):
    """As long as a step has the same samples; else the error says what to change."""
    options = {
        "schedule": {"batch_size": 4},
        "runtime": {"log_every": 3, "save_every_minutes": 0.0},
    }
    codes, *_ = run_ranks(tmp_path / "two", options | {"kill": 6})
    assert codes == [-9, -9]
    weights, *_ = by_hand()
    for world, schedule in ((1, {"batch_size": 4, "accumulate": 2}), (4, {"batch_size": 2})):
        folder = tmp_path / str(world)
        shutil.copytree(tmp_path / "two", folder)
        codes, errors, _ = run_ranks(folder, options, world)
        expected = "make schedule.batch_size x schedule.accumulate " + ("8" if world == 1 else "2")
        assert codes == [1] * world
        assert all(expected in error for error in errors), errors
        codes, errors, _ = run_ranks(folder, options | {"schedule": schedule}, world)
        assert codes == [0] * world, errors
        same(torch.load(folder / "last.pt", weights_only=True)["net"], weights)


@pytest.mark.slow
def test_a_signal_to_one_rank_stops_all_at_one_step(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    options = {"hold": 2, "schedule": {"batch_size": 4}}
    processes = start_ranks([*TOY_RUN, str(folder), json.dumps(options)])
    for line in processes[1].stdout:
        if line.startswith("epoch 1 2"):
            break
    processes[1].terminate()
    codes, errors = finish(processes)
    assert codes == [143, 143], errors
    saved = torch.load(folder / "last.pt", weights_only=True)
    assert (saved["epoch"], saved["step"]) == (0, 4)  # the next one at which ranks agree


GATHER = """
import numpy as np
from vidrec.engine import distributed, preempt
dist = distributed.start("cpu", 10.0)
rows = {"index": np.array([[0, 2, 4], [1, 3]][dist.rank]) if dist.world == 2 else None}
assert dist.gather(rows)["index"].tolist() == [0, 2, 4, 1, 3]
width = [4, 0][dist.rank]  # a rank without samples does not know how wide a row is
scores = dist.gather({"scores": np.ones((len([1, 1][:width]), width), np.float32)})["scores"]
assert scores.shape == (2, 4), scores.shape
assert dist.any(dist.rank == 1) is True and dist.any(False) is False
assert dist.max(dist.rank + 0.5) == 1.5
import torch
value = torch.tensor([float(dist.rank)])
dist.mean_([value]); assert value.item() == 0.5
value = torch.tensor([dist.rank + 3]); dist.broadcast_([value]); assert value.item() == 3
dist.barrier(); dist.stop()
"""


@pytest.mark.slow
def test_ranks_exchange_rows_and_numbers():
    codes, errors = finish(start_ranks(["-c", GATHER]))
    assert codes == [0, 0], errors


def test_one_process_is_a_rank_of_its_own():
    dist = Distributed()
    rows = {"index": np.arange(3)}
    assert dist.gather(rows) is rows
    assert dist.any(True)
    assert not dist.any(False)
    net = torch.nn.Linear(1, 1)
    assert dist.wrap(net) is net
    dist.barrier()
    dist.stop()


@pytest.fixture
def bare_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("SLURM", "SUBMITIT")) or name in (
            "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
        ):  # fmt: skip
            monkeypatch.delenv(name)
    return monkeypatch


SRUN = {
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NTASKS": "8",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_TASKS_PER_NODE": "4(x2)",
    "SLURM_STEP_NODELIST": "node[07-08]",
    "SLURM_JOB_ID": "123456",
}


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, (0, 1, 0, 1)),
        (
            {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"},
            (5, 8, 1, 4),
        ),
        (SRUN, (5, 8, 1, 4)),
        # torchrun under srun: one task a node that starts the ranks itself.
        (SRUN | {"RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "0"}, (2, 4, 0, 4)),
        (
            {
                "SUBMITIT_LOCAL_NTASKS": "4",
                "SUBMITIT_LOCAL_GLOBALID": "3",
                "SUBMITIT_LOCAL_LOCALID": "3",
            },
            (3, 4, 3, 4),
        ),
        # A shell or batch script inside an allocation of many tasks is one process.
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_LOCALID": "0"}, (0, 1, 0, 1)),
    ],
)
def test_the_place_among_the_ranks_follows_from_the_environment(
    bare_environment, environment, place
):
    for name, value in environment.items():
        bare_environment.setenv(name, value)
    assert distributed._place() == place


def test_ranks_under_slurm_meet_at_the_first_node_and_move_on_after_a_requeue(bare_environment):
    bare_environment.setenv("PATH", "")  # a container, without scontrol
    for name, value in SRUN.items():
        bare_environment.setenv(name, value)
    ports = []
    for restart in ("0", "1"):
        for name in ("MASTER_ADDR", "MASTER_PORT"):
            bare_environment.delenv(name, raising=False)
        bare_environment.setenv("SLURM_RESTART_COUNT", restart)
        distributed._rendezvous()
        assert os.environ["MASTER_ADDR"] == "node07"
        ports.append(int(os.environ["MASTER_PORT"]))
    assert ports[0] != ports[1]
    assert all(1024 < port < 32768 for port in ports)


def test_the_first_node_is_the_one_that_submitit_lists_first():
    slurm = pytest.importorskip("submitit.slurm.slurm", reason="pip install -e .[slurm]")
    for nodes in (
        "gpu5", "node[01-03,7],gpu5", "gpu5,node[01-03]", "a[3]", "a[3,5-9],b[1-2]",
        "dgx-01.cluster,dgx-02.cluster", "rack[2,4]n[08-11]", "n[098-101]-ib", "127.0.0.[1-2]",
    ):  # fmt: skip
        assert distributed.first_node(nodes) == slurm._parse_node_list(nodes)[0]


@pytest.mark.parametrize("nodes", ["", "node[", "node[a-b]", "node]1[", "two words"])
def test_a_list_of_nodes_that_is_none_says_what_to_set(bare_environment, nodes):
    for name, value in (SRUN | {"SLURM_STEP_NODELIST": nodes}).items():
        bare_environment.setenv(name, value)
    with pytest.raises(ValueError, match="set MASTER_ADDR to its machine") as error:
        distributed._rendezvous()
    assert repr(nodes) in str(error.value)
    bare_environment.setenv("MASTER_ADDR", "here")
    distributed._rendezvous()
    assert os.environ["MASTER_ADDR"] == "here"


def test_one_node_needs_no_name(bare_environment):
    for name, value in (SRUN | {"SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_NODELIST": ""}).items():
        bare_environment.setenv(name, value)
    distributed._rendezvous()
    assert os.environ["MASTER_ADDR"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"RANK": "0", "WORLD_SIZE": "2"},
            "but not MASTER_ADDR and MASTER_PORT: set .*--standalone",
        ),
        ({"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "a"}, "but not MASTER_PORT: set"),
        ({"RANK": "1"}, "not WORLD_SIZE: set both or neither"),
        ({"WORLD_SIZE": "2"}, "not RANK: set both or neither"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK=2, but WORLD_SIZE=2 ranks are 0 to 1"),
    ],
)
def test_half_an_environment_says_what_to_set(bare_environment, environment, message):
    for name, value in environment.items():
        bare_environment.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        distributed.start("cpu")


def test_a_port_in_use_is_named_with_the_way_out(bare_environment):
    bare_environment.setattr(distributed, "import_module", lambda name: None)  # takes seconds
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        environment = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
        for name, value in (environment | {"MASTER_PORT": port}).items():
            bare_environment.setenv(name, value)
        with pytest.raises(RuntimeError, match=f"port {port} .* in use.*--standalone.*MASTER_PORT"):
            distributed.start("cpu")


def test_documented_commands_of_torchrun_take_a_free_port():
    files = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    lines = [line for file in files for line in file.read_text().splitlines()]
    commands = [line for line in lines if line.startswith("torchrun ")]
    assert commands
    assert all(" --standalone " in line for line in commands), commands


@pytest.mark.parametrize("has_scontrol", [False, True])
def test_a_job_that_cannot_requeue_itself_says_so_and_waits_for_slurm(
    bare_environment, tmp_path, capsys, has_scontrol
):
    """One that exits early would end the job for good, and Slurm may requeue it by itself."""
    if has_scontrol:
        scontrol = tmp_path / "scontrol"
        scontrol.write_text(
            "#!/bin/sh\necho 'slurm_requeue error: Requested operation is disabled' >&2\nexit 1\n"
        )
        scontrol.chmod(0o755)
    waited = []
    bare_environment.setattr(preempt.time, "sleep", waited.append)
    bare_environment.setattr(preempt.signal, "signal", lambda *_: None)
    bare_environment.setenv("PATH", str(tmp_path))
    for name, value in (SRUN | {"SLURM_PROCID": "0", "SLURM_STEP_ID": "0"}).items():
        bare_environment.setenv(name, value)
    preempt.give_back(signal.SIGUSR2)
    reason = "Requested operation is disabled" if has_scontrol else "No such file"
    said = capsys.readouterr().err
    assert "job 123456 could not be queued again" in said
    assert reason in said
    assert "scontrol requeue 123456" in said
    assert waited == [preempt.SECONDS_TO_THE_END]


def test_a_device_that_is_not_there_is_refused(bare_environment, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ValueError, match=r"which has 0 CUDA devices.*runtime\.device=cpu"):
        distributed.start("cuda")
