"""What a log line says: means since the last one, summed on the device, and the time they took."""

import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vidrec.config.schema import ScheduleConf
from vidrec.engine import checkpoint
from vidrec.engine.distributed import Distributed


class Meters:
    """The means of the losses since the last log line, summed on the device, and the time they
    took.
    """

    def __init__(self, dist: Distributed) -> None:
        self.device = dist.device
        self.names: list[str] = []
        self.sums: list[Tensor] = []
        self.count = 0
        self.num_timed = 0
        self.data_seconds = 0.0
        self.start_clock()

    def start_clock(self) -> None:
        """Loading or validating is over: the next step starts now."""
        self.mark = self.begun = time.perf_counter()
        self.data_seconds, self.num_timed = 0.0, 0

    def waited(self) -> None:
        """A batch has come."""
        self.data_seconds += time.perf_counter() - self.mark

    def add(self, losses: dict[str, Tensor]) -> None:
        if not self.names:
            self.names = list(losses)
            self.sums = [torch.zeros((), dtype=torch.float64, device=self.device) for _ in losses]
        for total, value in zip(self.sums, losses.values(), strict=True):
            total += value
        self.count += 1
        self.num_timed += 1
        self.mark = time.perf_counter()

    def values(self) -> np.ndarray:
        """(1, 1 + names): the count and the sums, for a checkpoint. Waits for the device."""
        return np.array([[float(self.count), *(total.item() for total in self.sums)]])

    def load(self, names: list[str], values: np.ndarray) -> None:
        self.names = list(names)
        self.count = round(values[0])
        self.sums = [torch.tensor(v, dtype=torch.float64, device=self.device) for v in values[1:]]

    def check_finite(self, folder: Path, step: int) -> None:
        """Raise FloatingPointError naming the loss term that is not a number."""
        for name, total in zip(self.names, self.sums, strict=True):
            value = total.item() / max(self.count, 1)
            if not math.isfinite(value):
                kept = folder / checkpoint.LAST
                way_out = (
                    f"the last good state is {kept}" if kept.exists() else "nothing was saved yet"
                )
                raise FloatingPointError(
                    f"{name} is {value} at step {step}; {way_out}; try a lower "
                    "schedule.optimizer.lr, "
                    "schedule.clip_norm, or runtime.precision=fp32"
                )

    def close(
        self, folder: Path, step: int, schedule: ScheduleConf, dist: Distributed
    ) -> dict[str, float]:
        """The row of a log line, over all ranks; starts the next window. Waits for the device."""
        dist.mean_(self.sums)
        self.check_finite(folder, step)
        row = {
            f"train/{name}": total.item() / self.count
            for name, total in zip(self.names, self.sums, strict=True)
        }
        now = time.perf_counter()
        seconds = (now - self.begun) / max(self.num_timed, 1)
        row |= {
            "time/step": seconds,
            "time/data": self.data_seconds / max(self.num_timed, 1),
            "samples_per_second": schedule.effective_batch(dist.world) / seconds,
        }
        if self.device.type == "cuda":
            row["memory_gib"] = torch.cuda.max_memory_allocated(self.device) / 2**30
        for total in self.sums:
            total.zero_()
        self.count = self.num_timed = 0
        self.data_seconds = 0.0
        self.begun = self.mark = now
        return row
