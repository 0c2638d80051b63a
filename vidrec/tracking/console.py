"""Rows of numbers as lines for a reader."""

import math
from collections.abc import Mapping

# Shown after the losses and scores of a row, in this order.
_WORDS = {
    "lr": "lr",
    "grad_norm": "grad",
    "time/data": "data",
    "time/step": "step",
    "samples_per_second": "samples/s",
    "memory_gib": "GiB",
    "time/eta": "eta",
}


def console_line(
    row: Mapping[str, float],
    epoch: float,
    step: int,
    num_epochs: int | None = None,
    num_steps: int | None = None,
) -> str:
    """One row for a reader: position in the run, losses and scores, then rates and times.

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
