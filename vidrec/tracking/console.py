"""What a person reads on the terminal: one line a row of numbers, and a status line below them."""

import math
import shutil
import sys
import time
from collections.abc import Mapping
from typing import IO

# What comes after the losses and scores of a row, in this order.
_WORDS = {
    "lr": "lr",
    "grad_norm": "grad",
    "time/data": "data",
    "time/step": "step",
    "samples_per_second": "samples/s",
    "memory_gib": "GiB",
    "time/eta": "eta",
}


class StatusLine:
    """A line at the bottom of a terminal that is redrawn in place; elsewhere nothing."""

    def __init__(self, enabled: bool) -> None:
        self.stream: IO[str] = sys.stderr
        self.enabled = enabled and self.stream.isatty()
        self._drawn = False
        self._last_draw = -math.inf
        self._start: tuple[str, int, float] = (
            "",
            0,
            0.0,
        )  # label, count and time at its first call

    def show(self, done: int, total: int, label: str) -> None:
        if not self.enabled:
            return
        now = time.monotonic()
        if self._start[0] != label or done < self._start[1]:
            self._start = (label, done, now)
        if done >= total:
            self.clear()
            self._start = ("", 0, 0.0)
        elif now - self._last_draw >= 0.1:
            self._last_draw = now
            _, first, start = self._start
            rate = (done - first) / (now - start) if now > start else 0.0
            width = shutil.get_terminal_size().columns - 1
            self.stream.write("\r\x1b[2K" + status_text(done, total, label, rate)[:width])
            self.stream.flush()
            self._drawn = True

    def clear(self) -> None:
        if self._drawn:
            self.stream.write("\r\x1b[2K")
            self.stream.flush()
            self._drawn = False


def status_text(done: int, total: int, label: str, rate: float) -> str:
    """A bar of `done` of `total` at `rate` a second.

    >>> status_text(50, 100, "epoch 3", 5.0)
    'epoch 3  ▕███████████████               ▏  50/100  5.0/s  0:00:10 left'
    """
    eighths = 30 * 8 * done // total
    bar = "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
    text = f"{label}  ▕{bar:<30}▏  {done}/{total}"
    return f"{text}  {rate:.1f}/s  {duration((total - done) / rate)} left" if rate else text


def console_line(
    row: Mapping[str, float],
    epoch: float,
    step: int,
    num_epochs: int | None = None,
    num_steps: int | None = None,
) -> str:
    """One row for a reader: where we are, losses and scores, then rates and times.

    >>> row = {"train/loss": 1.25, "lr": 0.01, "time/step": 0.12, "time/eta": 3700}
    >>> console_line(row, 3, 40, 50, 1000)
    'epoch  3/50 [  40/1000]  loss 1.2500  lr 1.00e-02  step 120 ms  eta 1:01:40'
    >>> console_line({"val/top1": 0.75, "val/top5": 1.0}, 3, 40)
    'epoch 3 [40]  val  top1 0.7500  top5 1.0000'
    """
    count = f"{step:>{len(str(num_steps))}}/{num_steps}" if num_steps else f"{step}"
    where = f"{epoch:>{len(str(num_epochs))}g}/{num_epochs}" if num_epochs else f"{epoch:g}"
    parts = [f"epoch {where} [{count}]"]
    previous = "train"
    for name, value in row.items():
        if name not in _WORDS:
            split, _, short = name.rpartition("/")
            if split and split != previous:
                parts.append(split)
                previous = split
            parts.append(f"{short} {_number(value)}")
    parts += [_measure(name, row[name]) for name in _WORDS if name in row]
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds.

    >>> duration(93784.4)
    '26:03:04'
    """
    if not math.isfinite(seconds):
        return "?"
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}"


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.3e}"


def _measure(name: str, value: float) -> str:
    word = _WORDS[name]
    if name == "time/eta":
        return f"{word} {duration(value)}"
    if name.startswith("time/"):
        return f"{word} {value * 1000:.0f} ms" if value < 10 else f"{word} {value:.1f} s"
    if name == "lr":
        return f"{word} {value:.2e}"
    if name == "grad_norm":
        return f"{word} {value:.3g}"
    return f"{value:.1f} {word}"
