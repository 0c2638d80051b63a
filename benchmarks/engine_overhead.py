"""What the training loop costs per step beyond a bare PyTorch loop on the same tensors.

`python benchmarks/engine_overhead.py` prints a table and, as its last line, one JSON object. Both
loops get batches that are in memory already; validation and saving cancel out, because the time of
a step is the difference between a long and a short run, divided by the difference in steps.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from vidrec.config.schema import RuntimeConf, ScheduleConf
from vidrec.data.unreadable import BadVideos
from vidrec.engine.distributed import Distributed
from vidrec.engine.job import Job
from vidrec.engine.lr import Cosine, LearningRate
from vidrec.engine.train import train


class Silent:
    """A run that logs nothing, so that only the loop is measured."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def _nothing(self, *args: Any, **kwargs: Any) -> None: ...

    begin = log = rewind = info = warn = progress = _nothing


class Ready:
    """A loader that returns the same batch again and again."""

    def __init__(self, batch: dict[str, torch.Tensor], num_batches: int) -> None:
        self.batch, self.num_batches = batch, num_batches
        self.batch_sampler = self
        self.dataset = range(0)

    def start(self, epoch: int, first_batch: int = 0) -> None: ...

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Any:
        return (dict(self.batch) for _ in range(self.num_batches))


class NoMetric:
    key, higher_is_better = "none", True
    rows = {"index": np.zeros(0, np.int64)}  # noqa: RUF012

    def reset(self) -> None: ...

    def compute(self, rows: dict[str, np.ndarray]) -> dict[str, float]:
        return {"none": 0.0}


class Net(nn.Module):
    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        return {"logits": self.layers(batch["video"])}


def loss_fn(outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {"loss": nn.functional.cross_entropy(outputs["logits"], batch["label"])}


def bare_seconds(layers: nn.Module, batch: dict[str, torch.Tensor], steps: int) -> float:
    net = Net(layers).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-6, momentum=0.9)
    begun = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        loss_fn(net(batch), batch)["loss"].backward()
        optimizer.step()
    return time.perf_counter() - begun


def engine_seconds(layers: nn.Module, batch: dict[str, torch.Tensor], steps: int) -> float:
    net = Net(layers).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-6, momentum=0.9)
    loaders = SimpleNamespace(
        train=Ready(batch, steps),
        val=Ready(batch, 0),
        bad_train=BadVideos(1, 0.0),
        bad_val=BadVideos(1, 0.0),
    )
    schedule = ScheduleConf(epochs=1, batch_size=len(batch["label"]))
    lr = LearningRate({"decay": Cosine(convert_to_steps=True)}, optimizer, steps, 1)
    runtime = RuntimeConf(resume="never", keep=0, save_best=False)
    with tempfile.TemporaryDirectory() as folder:
        run: Any = Silent(folder)
        begun = time.perf_counter()
        train(
            Job(
                net=net,
                loss_fn=loss_fn,
                metric=NoMetric(),
                optimizer=optimizer,
                lr=lr,
                loaders=loaders,
                schedule=schedule,
                runtime=runtime,
                run=run,
                dist=Distributed(),
            )
        )
        return time.perf_counter() - begun


def milliseconds(measure: Any, layers: nn.Module, batch: Any, steps: int) -> float:
    """Time of one step, from a run of `steps` // 4 steps and one that has `steps` more."""
    short = steps // 4
    first = measure(layers, batch, short)
    return 1e3 * (measure(layers, batch, short + steps) - first) / steps


def compare(layers: nn.Module, batch: Any, steps: int, repeats: int) -> dict[str, float]:
    """Medians over alternating repeats, after a warm-up."""
    pairs = []
    for repeat in range(repeats + 1):
        number = steps if repeat else max(4, steps // 10)
        bare = milliseconds(bare_seconds, layers, batch, number)
        engine = milliseconds(engine_seconds, layers, batch, number)
        if repeat:
            pairs.append((bare, engine))
    bare = statistics.median(bare for bare, _ in pairs)
    return {
        "bare_ms": round(bare, 4),
        "overhead_ms": round(statistics.median(e - b for b, e in pairs), 4),
        "overhead_percent": round(100 * statistics.median((e - b) / b for b, e in pairs), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--resnet-steps", type=int, default=16)
    parser.add_argument("--trivial-steps", type=int, default=1000)
    options = parser.parse_args()
    from torchvision.models import resnet18

    torch.set_num_threads(1)
    label = torch.arange(8) % 4
    trivial = compare(
        nn.Linear(4, 4),
        {"video": torch.randn(8, 4), "label": label, "index": label},
        options.trivial_steps,
        options.repeats,
    )
    images = torch.randn(8, 3, 112, 112).to(memory_format=torch.channels_last)
    resnet = compare(
        resnet18(num_classes=4).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        {"video": images, "label": label, "index": label},
        options.resnet_steps,
        options.repeats,
    )
    # The difference of two long times is noisy; this relates the same overhead to the longer step.
    resnet["trivial_overhead_percent"] = round(100 * trivial["overhead_ms"] / resnet["bare_ms"], 3)
    print(f"{'network':10} {'bare, ms':>10} {'overhead, ms':>13} {'overhead, %':>12}")
    for name, row in (("linear", trivial), ("ResNet-18", resnet)):
        print(
            f"{name:10} {row['bare_ms']:10.3f} {row['overhead_ms']:13.4f} "
            f"{row['overhead_percent']:12.2f}"
        )
    print(json.dumps({"trivial": trivial, "resnet18": resnet}))


if __name__ == "__main__":
    main()
