"""Everything that a training run is given, and what it returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn
from torch.optim import Optimizer

from vidrec.config.schema import RuntimeConf, ScheduleConf
from vidrec.data.transforms.mixing import Mix
from vidrec.data.unreadable import BadVideos
from vidrec.engine.distributed import Distributed
from vidrec.engine.lr import LearningRate
from vidrec.engine.metric import Metric, Rows
from vidrec.tracking.record import RunRecord
from vidrec.tracking.run import Run

Batch = dict[str, Tensor]


class Network(Protocol):
    """A network, a torch.nn.Module, as training and evaluation use it."""

    def forward(self, batch: Any) -> Any:
        """The outputs that the loss is computed from."""

    def predict(self, batch: Any) -> Any:
        """The predictions that the metric collects; never called in training mode."""


class Loss(Protocol):
    """What is minimised."""

    def __call__(self, outputs: Any, batch: Any) -> dict[str, Tensor]:
        """`loss`, a scalar, and other scalars, which are logged."""


class Loaders(Protocol):
    train: Any  # a DataLoader whose batch_sampler has start(epoch, first_batch)
    val: Any
    bad_train: BadVideos
    bad_val: BadVideos


@dataclass(frozen=True, kw_only=True)
class Job:
    """The parts of a training run, none of which is replaced while it runs.

    net: on `dist.device` already. record: the command and its configuration, kept in checkpoints.
    about: plain values (texts, numbers, lists, dictionaries) that tell how to use a checkpoint.
    """

    net: nn.Module
    loss_fn: Loss
    metric: Metric
    optimizer: Optimizer
    lr: LearningRate
    loaders: Loaders
    schedule: ScheduleConf
    runtime: RuntimeConf
    run: Run
    dist: Distributed
    mixing: Mix | None = None
    record: RunRecord = field(default_factory=RunRecord)
    about: Mapping[str, object] = field(default_factory=dict)

    @property
    def steps_per_epoch(self) -> int:
        return steps_per_epoch(len(self.loaders.train), self.schedule)

    @property
    def samples_per_step(self) -> int:
        """Over all ranks."""
        return self.schedule.effective_batch(self.dist.world)


@dataclass
class Outcome:
    """The result of training."""

    best: float  # the best value of metric.key; NaN if there is none
    # Of the best validation since this process started, if there was one:
    epoch: int = 0  # counted from 1
    scores: dict[str, float] = field(default_factory=dict)
    rows: Rows = field(default_factory=dict)  # its predictions


def steps_per_epoch(num_batches: int, schedule: ScheduleConf) -> int:
    """Optimizer steps of an epoch. Raises ValueError if there are none."""
    steps = num_batches // schedule.accumulate
    if steps == 0:
        raise ValueError(
            f"an epoch has {num_batches} batches, fewer than "
            f"schedule.accumulate={schedule.accumulate}; "
            "accumulate less, or use smaller batches"
        )
    return min(steps, schedule.max_steps) if schedule.max_steps else steps
