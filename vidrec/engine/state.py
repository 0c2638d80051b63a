"""All that changes while a run trains."""

from typing import Any

import torch

from vidrec.config.schema import Precision
from vidrec.engine.checkpoint import Content
from vidrec.engine.ema import EMA
from vidrec.engine.job import Job
from vidrec.engine.meters import Meters


class TrainState:
    """The network, its average, the optimizer, and how far the run is.

    epoch: whole epochs done. step: optimizer steps done of the next one; all of them means that
    validation is next. best: the best value of the metric so far.
    """

    def __init__(self, job: Job) -> None:
        schedule, runtime, dist = job.schedule, job.runtime, job.dist
        self.net = job.net
        # The network as it is called in training; `net` itself stays free of wrappers.
        self.model: Any = dist.wrap(job.net)
        if runtime.compile:
            self.model = torch.compile(self.model)
        self.ema = EMA(job.net, schedule.ema) if schedule.ema else None
        self.optimizer = job.optimizer
        is_fp16 = runtime.precision == Precision.fp16
        self.scaler = torch.amp.GradScaler(dist.device.type, enabled=is_fp16)
        self.meters = Meters(dist, job.samples_per_step)
        self.steps_per_epoch = job.steps_per_epoch
        self.epoch = 0
        self.step = 0
        self.best: float | None = None

    @property
    def steps_done(self) -> int:
        """Optimizer steps since the start of the run."""
        return self.epoch * self.steps_per_epoch + self.step

    def state_dict(self) -> Content:
        """All that a resumed run needs to continue exactly. Every rank must call it."""
        averaged = {"ema": self.ema.state_dict()} if self.ema else {}
        return {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            **averaged,
            "epoch": self.epoch,
            "step": self.step,
            "best": self.best,
            "window": self.meters.state_dict(),
        }

    def load_state_dict(self, content: Content) -> None:
        """Continue from what `state_dict` returned; the settings of the optimizer stay this run's.

        Raises ValueError if only one has an EMA.
        """
        if ("ema" in content) != (self.ema is not None):
            raise ValueError(
                "the checkpoint and this run differ in schedule.ema: keep it, or use model.weights"
            )
        self.net.load_state_dict(content["net"])
        saved, mine = content["optimizer"], self.optimizer.state_dict()["param_groups"]
        # The rate of the last step, which is none of the settings.
        rates = [group["lr"] for group in saved["param_groups"]]
        groups = [group | {"lr": lr} for group, lr in zip(mine, rates, strict=True)]
        self.optimizer.load_state_dict({"state": saved["state"], "param_groups": groups})
        if content["scaler"]:  # empty if the run before had no fp16
            self.scaler.load_state_dict(content["scaler"])
        if self.ema:
            self.ema.load_state_dict(content["ema"])
        self.meters.load_state_dict(content["window"])
        self.epoch, self.step = content["epoch"], content["step"]
        self.best = content["best"]
