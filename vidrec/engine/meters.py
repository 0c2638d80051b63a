"""The numbers of a training log line: mean losses since the last one, and the time it took."""

import math
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vidrec.engine import checkpoint
from vidrec.engine.checkpoint import Content
from vidrec.engine.distributed import Distributed


class Meters:
    """Sums losses on the device, so that no step waits for it, and measures step and data time."""

    def __init__(self, dist: Distributed, samples_per_step: int) -> None:
        self.dist = dist
        self.samples_per_step = samples_per_step
        self.names: list[str] = []
        self.sums: list[Tensor] = []
        self.count = 0
        self.num_timed = 0
        self.data_seconds = 0.0
        self.start_clock()

    def start_clock(self) -> None:
        """Start timing a step, after something that is not part of any."""
        self.mark = self.begun = time.perf_counter()
        self.data_seconds, self.num_timed = 0.0, 0

    def batch_arrived(self) -> None:
        """Count the time since the last step as waiting for data."""
        self.data_seconds += time.perf_counter() - self.mark

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Add the losses of a step, which ends here."""
        if not self.names:
            self.names = list(losses)
            self.sums = [self._sum(0.0) for _ in losses]
        for total, value in zip(self.sums, losses.values(), strict=True):
            total += value
        self.count += 1
        self.num_timed += 1
        self.mark = time.perf_counter()

    def check_finite(self, folder: Path, step: int) -> None:
        """Raise FloatingPointError naming the loss term that is not finite. Waits for the device.

        folder: of the run, for the message.
        """
        for name, total in zip(self.names, self.sums, strict=True):
            value = total.item() / max(self.count, 1)
            if not math.isfinite(value):
                kept = folder / checkpoint.LAST
                way_out = (
                    f"the last good state is {kept}" if kept.exists() else "nothing was saved yet"
                )
                raise FloatingPointError(
                    f"{name} is {value} at step {step}; {way_out}; try a lower "
                    "schedule.optimizer.lr, schedule.clip_norm, or runtime.precision=fp32"
                )

    def close(self, folder: Path, step: int) -> dict[str, float]:
        """The row of a log line, over all ranks; then start anew. Waits for the device."""
        self.dist.mean_(self.sums)
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
            "samples_per_second": self.samples_per_step / seconds,
        }
        if self.dist.device.type == "cuda":
            row["memory_gib"] = torch.cuda.max_memory_allocated(self.dist.device) / 2**30
        for total in self.sums:
            total.zero_()
        self.count = self.num_timed = 0
        self.data_seconds = 0.0
        self.begun = self.mark = now
        return row

    def state_dict(self) -> Content:
        """`rows` (ranks, 1 + names): count and sums of every rank, which must all call this."""
        own = np.array([[float(self.count), *(total.item() for total in self.sums)]])
        rows = self.dist.gather({"rows": own})["rows"]
        return {"names": self.names, "rows": torch.from_numpy(rows)}

    def load_state_dict(self, content: Content) -> None:
        """Continue the sums; on another number of ranks all get the mean, which logs the same."""
        rows = content["rows"]
        own = rows[self.dist.rank] if len(rows) == self.dist.world else rows.mean(dim=0)
        count, *sums = own.tolist()
        self.names = list(content["names"])
        self.count = round(count)
        self.sums = [self._sum(value) for value in sums]

    def _sum(self, value: float) -> Tensor:
        return torch.tensor(value, dtype=torch.float64, device=self.dist.device)
