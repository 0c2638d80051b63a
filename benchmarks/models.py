"""Training steps of the main networks against a plain implementation of the same networks.

    python benchmarks/models.py [--networks tsn slowonly ...] [--rungs plain bf16 ...]
    python benchmarks/models.py --small       # small clips, for a CPU

A step is: batch to the device, forward, loss, backward, optimizer. Every rung adds one thing to the
one before it. `plain` is what one would write first: frames normalised to float32 on the host,
contiguous tensors, attention as softmax(q k') v in full, float32.

    bf16           autocast
    uint8          frames are sent to the device as bytes and normalised there
    attention      torch's fused attention
    channels_last  the memory layout of the frames
    compile        torch.compile

Rungs are measured in turn, several times; the ratio is the time of `plain` over that of the rung.
Memory is the peak of the device; on a CPU, what is kept for the backward pass. The last line is one
JSON object.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vidrec import compose
from vidrec.build import build_loss, build_net
from vidrec.config.schema import Precision, TrainConf
from vidrec.engine.evaluate import autocast
from vidrec.engine.setup import channels_last

RUNGS = ("plain", "bf16", "uint8", "attention", "channels_last", "compile")

# Overrides of each network, and further ones with --small.
NETWORKS: dict[str, tuple[list[str], list[str]]] = {
    "tsn": (["model=tsn", "model.clip.clips=8"], []),
    "tsm": (["model=tsm"], []),
    "slowonly": (["model=slowonly", "model.clip.frames=8"], []),
    "slowfast": (["model=slowfast", "model.clip.frames=32"], []),
    "swin-t": (["model=swin3d"], ["model.clip.frames=8"]),
    "mvit-s": (
        ["model=mvit"],
        [
            "model.clip.frames=8",
            "model.net.backbone.spatial_size=64",
            "model.net.backbone.temporal_size=8",
        ],
    ),
    "videomae-b": (
        ["model=videomae"],
        [
            "model.clip.frames=4",
            "model.net.backbone.img_size=64",
            "model.net.backbone.num_frames=4",
        ],
    ),
}

# Dense bf16 TFLOP/s as stated by the manufacturers.
PEAK = {"H100": 989.0, "H200": 989.0, "A100": 312.0, "L40S": 362.0, "4090": 165.0}


def configuration(name: str, small: bool, extra: list[str]) -> TrainConf:
    overrides, small_overrides = NETWORKS[name]
    overrides = [*overrides, "data=kinetics400", "data.root=none"]
    if small:
        overrides += ["model.clip.size=64", "model.clip.short_side=64", *small_overrides]
    return compose(*overrides, *extra)


def random_batch(conf: TrainConf, batch_size: int, device: torch.device) -> dict[str, Tensor]:
    clip = conf.model.clip
    frames = clip.frames_per_view or clip.frames * clip.clips
    shape = batch_size, 1, frames, clip.size, clip.size, conf.model.channels
    generator = torch.Generator().manual_seed(0)
    video = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    label = torch.randint(conf.data.num_classes, (batch_size,), generator=generator)
    pinned = device.type == "cuda"
    return {k: v.pin_memory() if pinned else v for k, v in (("video", video), ("label", label))}


def plain_attention(  # noqa: PLR0913 - the signature is torch's
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(q k' / sqrt(c)) v with the whole matrix in memory."""
    assert not is_causal
    assert not enable_gqa
    scores = query @ key.transpose(-2, -1) * (scale or 1 / math.sqrt(query.shape[-1]))
    if attn_mask is not None:
        assert attn_mask.dtype != torch.bool
        scores = scores + attn_mask
    return F.dropout(scores.softmax(dim=-1), dropout_p) @ value


@contextmanager
def attention(fused: bool) -> Iterator[None]:
    before = F.scaled_dot_product_attention
    if not fused:
        F.scaled_dot_product_attention = plain_attention  # type: ignore[assignment]
    try:
        yield
    finally:
        F.scaled_dot_product_attention = before


class Step:
    """One training step on one rung."""

    def __init__(
        self,
        conf: TrainConf,
        state: dict[str, Tensor],
        batch: dict[str, Tensor],
        rungs: list[str],
        device: torch.device,
    ) -> None:
        self.batch, self.device, self.rungs = batch, device, rungs
        self.precision = Precision.bf16 if "bf16" in rungs else Precision.fp32
        self.net: Any = build_net(conf.model)
        self.net.load_state_dict(state)
        self.net = self.net.train().to(device)
        if "channels_last" in rungs:
            self.net = channels_last(self.net)
        self.loss_fn = build_loss(conf.model)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=1e-4, momentum=0.9)
        scale, shift = self.net.scale.cpu(), self.net.shift.cpu()
        self.normalise: Callable[[Tensor], Tensor] = lambda video: video * scale + shift
        forward = self._forward
        self.forward = torch.compile(forward) if "compile" in rungs else forward

    def _forward(self, video: Tensor) -> dict[str, Tensor]:
        """video: (N, V, T, H, W, C), uint8 or normalised already."""
        is_raw = video.dtype == torch.uint8
        clips = self.net.normalise(video) if is_raw else video.movedim(-1, -3)
        if "channels_last" not in self.rungs:
            clips = clips.contiguous()
        return self.net.outputs(clips)

    def __call__(self) -> Tensor:
        """Do one step; returns the loss before it."""
        self.optimizer.zero_grad(set_to_none=True)
        video = self.batch["video"]
        if "uint8" not in self.rungs:
            video = self.normalise(video.float())
        video = video.to(self.device, non_blocking=True)
        label = self.batch["label"].to(self.device, non_blocking=True)
        with attention("attention" in self.rungs):
            with autocast(self.device, self.precision):
                losses = self.loss_fn(self.forward(video), {"label": label})
            losses["loss"].backward()
        self.optimizer.step()
        return losses["loss"].detach()

    def seconds(self, steps: int) -> float:
        """Mean time of a step."""
        self._wait()
        begun = time.perf_counter()
        for _ in range(steps):
            self()
        self._wait()
        return (time.perf_counter() - begun) / steps

    def megabytes(self) -> float:
        """Peak memory of the device in one step; on a CPU, what is kept for the backward pass."""
        if self.device.type == "cuda":
            self._wait()
            torch.cuda.reset_peak_memory_stats()
            self()
            self._wait()
            return torch.cuda.max_memory_allocated() / 1e6
        own = {p.untyped_storage().data_ptr() for p in self.net.parameters()}
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            self()
        return sum(kept.values()) / 1e6

    def flops(self) -> int:
        with FlopCounterMode(display=False) as counter:
            self()
        return counter.get_total_flops()

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def measure(name: str, options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Every rung of one network."""
    conf = configuration(name, options.small, options.set)
    torch.manual_seed(0)
    state = build_net(conf.model).state_dict()
    batch = random_batch(conf, options.batch_size, device)
    chosen = [rung for rung in RUNGS if rung in options.rungs]
    steps: dict[str, Step] = {}
    for i, rung in enumerate(chosen):
        steps[rung] = Step(conf, state, batch, chosen[: i + 1], device)
        steps[rung].seconds(options.warmup)
    times: dict[str, list[float]] = {rung: [] for rung in chosen}
    for _ in range(options.repeats):
        for rung, step in steps.items():
            times[rung].append(step.seconds(options.steps))
    plain = chosen[0]
    flops = steps[plain].flops()
    rows = {}
    for rung in chosen:
        seconds = statistics.median(times[rung])
        ratios = [a / b for a, b in zip(times[plain], times[rung], strict=True)]
        row: dict[str, float] = {
            "step_ms": round(1e3 * seconds, 2),
            "ratio": round(statistics.median(ratios), 3),
            "clips_per_second": round(options.batch_size / seconds, 1),
            "memory_mb": round(steps[rung].megabytes(), 1),
        }
        if peak := options.peak_tflops or peak_tflops(device):
            row["model_flop_utilisation"] = round(flops / seconds / (peak * 1e12), 4)
        rows[rung] = row
    return {"gflops_a_step": round(flops / 1e9, 1), "rungs": rows}


def peak_tflops(device: torch.device) -> float | None:
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAK.items() if part in name), None)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rungs", nargs="+", choices=RUNGS, help="on a CPU no bf16, compile")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--small", action="store_true", help="clips of 64 pixels")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peak-tflops", type=float, help="of the device, for the utilisation")
    options = parser.parse_args()
    device = torch.device(options.device)
    if options.rungs is None:
        slow = ("bf16", "compile") if device.type == "cpu" else ()
        options.rungs = [rung for rung in RUNGS if rung not in slow]
    if "plain" not in options.rungs:
        parser.error("--rungs needs plain, which the others are compared with")
    results = {}
    for name in options.networks:
        results[name] = measure(name, options, device)
        gflops = results[name]["gflops_a_step"]
        print(f"{name}: {gflops} GFLOPs per step of {options.batch_size} clips")
        for rung, row in results[name]["rungs"].items():
            print(
                f"  {rung:14}{row['step_ms']:10.1f} ms {row['ratio']:7.2f} x "
                f"{row['clips_per_second']:9.1f} clips/s {row['memory_mb']:10.1f} MB"
                + (
                    f" {100 * row['model_flop_utilisation']:6.1f} % of peak"
                    if "model_flop_utilisation" in row
                    else ""
                ),
                flush=True,
            )
    print(json.dumps({"device": str(device), "small": options.small, "networks": results}))


if __name__ == "__main__":
    main()
