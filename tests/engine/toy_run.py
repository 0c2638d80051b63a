"""A whole training run in miniature: `python -m tests.engine.toy_run FOLDER JSON`.

Small enough that what it must come to can be worked out by plain gradient descent in the tests.
"""

import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vidrec.config.schema import DashboardName, Precision, RuntimeConf, ScheduleConf
from vidrec.data.clips.collate import collate_clips
from vidrec.data.loader import EpochBatches, EvaluationBatches, make_loader
from vidrec.data.unreadable import BadVideos
from vidrec.engine import distributed
from vidrec.engine.job import Job, Outcome, steps_per_epoch
from vidrec.engine.lr import LearningRate, MultiStep
from vidrec.engine.train import train
from vidrec.tracking.record import RunRecord
from vidrec.tracking.run import Run as RunDirectory

NUM_SAMPLES, NUM_VAL, NUM_FEATURES, NUM_CLASSES = 30, 7, 4, 3
SCHEDULE: dict[str, Any] = {"epochs": 4, "batch_size": 8, "val_batch_size": 2, "clip_norm": 0.5}
SGD = partial(torch.optim.SGD, lr=0.5, momentum=0.9, weight_decay=1e-4)
RUNTIME: dict[str, Any] = {"log_every": 1, "device": "cpu", "num_workers": 0}


def table(num_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(num_rows, NUM_FEATURES)).astype(np.float32)
    return rows, rng.integers(NUM_CLASSES, size=num_rows)


class Rows(torch.utils.data.Dataset):
    """Rows of a table for videos, with a little noise that follows from (epoch, index)."""

    def __init__(self, num_rows: int, seed: int, noise: float = 0.0, broken: tuple = ()) -> None:
        self.rows, self.labels = table(num_rows, seed)
        self.noise = noise
        self.broken = broken  # rows that cannot be read
        self.kill_at: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, index = key
        if index in self.broken:
            return {"bad_videos": [(f"row{index}.mp4", "no frames")]}
        rng = np.random.default_rng((epoch, index))
        noise = self.noise * rng.normal(size=NUM_FEATURES).astype(np.float32)
        return {
            "video": (self.rows[index] + noise)[None],
            "label": self.labels[index : index + 1],
            "index": np.array([index]),
        }


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the engine runs after it."""


def kill_at(call: int) -> Callable[..., None]:
    """A function that raises `Killed` when it is called for that time."""
    calls = itertools.count(1)

    def count(*arguments: object) -> None:
        if next(calls) == call:
            raise Killed

    return count


class Net(nn.Module):
    def __init__(self, dropout: float = 0.0, norm: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm = nn.BatchNorm1d(NUM_FEATURES) if norm else nn.Identity()
        self.fc = nn.Linear(NUM_FEATURES, NUM_CLASSES)
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        return {"logits": self.fc(self.dropout(self.norm(batch["video"])))}

    def predict(self, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        return {"scores": self(batch)["logits"]}


def loss_fn(outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, torch.Tensor]:
    loss = nn.functional.cross_entropy(outputs["logits"].float(), batch["label"])
    return {"loss": loss, "loss_cls": loss.detach()}


class Score:
    """The mean probability of the true class: changes with every change of the weights."""

    key, higher_is_better = "prob", True

    def reset(self) -> None:
        self.parts: list[list[float]] = []

    def update(self, predictions: dict[str, Any], batch: dict[str, Any]) -> None:
        prob = predictions["scores"].softmax(1).gather(1, batch["label"][:, None])
        self.parts += zip(batch["index"].tolist(), prob[:, 0].tolist(), strict=True)

    @property
    def rows(self) -> dict[str, np.ndarray]:
        index, prob = zip(*self.parts, strict=True) if self.parts else ((), ())
        return {"index": np.array(index, np.int64), "prob": np.array(prob)}

    def compute(self, rows: dict[str, np.ndarray]) -> dict[str, float]:
        assert rows["index"].tolist() == list(range(NUM_VAL))  # each row once, none padded
        return {"prob": float(rows["prob"].mean())}


class Run:
    """Rows in memory and in log.jsonl."""

    def __init__(self, folder: Path, rank: int = 0) -> None:
        self.folder, self.rank = Path(folder), rank
        self.path = self.folder / "log.jsonl"
        self.texts: list[str] = []
        self.on_step: Any = None

    @property
    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def begin(self, num_epochs: int, num_steps: int) -> None: ...

    def accept(self, **facts: Any) -> None: ...

    def holds_a_run(self) -> bool:
        return self.path.exists()

    def log(self, row: dict[str, float], *, epoch: int, step: int) -> None:
        if self.rank == 0:
            with self.path.open("a") as file:
                file.write(json.dumps({"epoch": epoch, "step": step, **row}) + "\n")

    def rewind(self, step: int, *, validated: bool = True) -> None:
        if self.rank == 0 and self.path.exists():
            kept = [
                row
                for row in self.logged
                if row["step"] <= step - ("val/prob" in row and not validated)
            ]
            self.path.write_text("".join(json.dumps(row) + "\n" for row in kept))

    def info(self, text: str) -> None:
        self.texts.append(text)

    def warn(self, text: str, *, every_rank: bool = False) -> None:
        self.texts.append(text)

    def progress(self, done: int, total: int, label: str = "") -> None:
        if self.on_step:
            self.on_step(done, label)


@dataclass
class Loaders:
    train: Any
    val: Any
    bad_train: BadVideos = field(default_factory=lambda: BadVideos(NUM_SAMPLES, 0.5))
    bad_val: BadVideos = field(default_factory=lambda: BadVideos(NUM_VAL, 0.5))


@dataclass
class Result:
    net: nn.Module
    optimizer: torch.optim.Optimizer
    outcome: Outcome
    run: Run


def fit(  # noqa: PLR0913 - what a test changes of a run
    folder: Path,
    *,
    net: nn.Module | None = None,
    loss: Any = loss_fn,
    schedule: dict[str, Any] | None = None,
    runtime: dict[str, Any] | None = None,
    noise: float = 0.0,
    broken: tuple = (),
    on_step: Any = None,
    metric: Any = None,
    mixing: Any = None,
    about: dict[str, Any] | None = None,
    record: RunRecord | None = None,
    optimizer: Any = SGD,
) -> Result:
    """Train the toy in `folder`, on the ranks that the environment tells of.

    record: write a real run directory, of this command. optimizer: a function of the parameters.
    """
    schedule_conf = ScheduleConf(**{**SCHEDULE, **(schedule or {})})
    runtime_conf = RuntimeConf(**{**RUNTIME, **(runtime or {})})
    dist = distributed.start("cpu", 10.0)
    try:
        batches = EpochBatches(
            NUM_SAMPLES,
            schedule_conf.batch_size,
            seed=runtime_conf.seed,
            rank=dist.rank,
            world=dist.world,
        )
        workers = {
            "num_workers": runtime_conf.num_workers or 0,
            "persistent_workers": bool(runtime_conf.num_workers),
            "prefetch": 2,
            "pin_memory": False,
            "collate": collate_clips,
        }
        shard = EvaluationBatches(NUM_VAL, 2, rank=dist.rank, world=dist.world)
        loaders = Loaders(
            make_loader(Rows(NUM_SAMPLES, 1, noise, broken), batches, **workers),
            make_loader(Rows(NUM_VAL, 2), shard, **workers),
        )
        net = net if net is not None else Net()
        optimizer = optimizer(net.parameters())
        steps = steps_per_epoch(len(loaders.train), schedule_conf)
        milestones = [m for m in (1, 3) if m < schedule_conf.epochs]
        lr = LearningRate(
            {"drop": MultiStep(milestones=milestones)}, optimizer, steps, schedule_conf.epochs
        )
        run: Any = Run(folder, dist.rank)
        run.on_step = on_step
        if record:
            conf = replace(runtime_conf, dashboard=DashboardName.none)
            run = RunDirectory(folder, dist.rank, conf, record)
        job = Job(
            net=net,
            loss_fn=loss,
            metric=metric or Score(),
            optimizer=optimizer,
            lr=lr,
            loaders=loaders,
            schedule=schedule_conf,
            runtime=runtime_conf,
            run=run,
            dist=dist,
            mixing=mixing,
            about=about or {},
            record=record or RunRecord(),
        )
        try:
            outcome = train(job)
        finally:
            if record:
                run.finish()
        return Result(net, optimizer, outcome, run)
    finally:
        dist.stop()


def untimed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Logged rows without what a clock measured."""
    timed = ("time/", "samples_per_second")
    return [{k: v for k, v in row.items() if not k.startswith(timed)} for row in rows]


def main(folder: str, options: dict[str, Any]) -> None:
    """Train with `options` of `fit`, and these: `dropout`, `norm`: of the net.

    kill: die after that many steps. hold: after that many steps the last rank waits until it has
    been asked to stop, so that a test that asks for it does not race with the training.
    """
    torch.set_num_threads(1)
    net = Net(options.pop("dropout", 0.0), options.pop("norm", False))
    kill, hold, done = options.pop("kill", None), options.pop("hold", None), 0
    is_last_rank = int(os.environ.get("RANK", 0)) + 1 == int(os.environ.get("WORLD_SIZE", 1))
    precision = options.get("runtime", {}).get("precision")
    if precision:
        options["runtime"]["precision"] = Precision(precision)

    def on_step(step: int, label: str) -> None:
        nonlocal done
        done += 1
        print(label, step, flush=True)
        if done == kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if done == hold and is_last_rank:
            interrupt = signal.getsignal(signal.SIGTERM).__self__  # type: ignore[union-attr]
            while not interrupt.number:
                time.sleep(0.01)

    result = fit(Path(folder), net=net, on_step=on_step, **options)
    if result.run.rank == 0:
        torch.save(result.net.state_dict(), Path(folder) / "final.pt")


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
