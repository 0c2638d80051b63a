"""Pictures at the end of a run: curves, confusion matrix, sample predictions."""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidrec.metrics.charts import Chart, Lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#2f6db3", "#e08214", "#2c8c4b", "#c0392b", "#5f6b76"
_COLOURS = (_BLUE, _ORANGE, _GREEN, "#8e5ea2", "#c0392b", "#17a2b8", "#7f6a3f", _GREY)
_INK, _LINE, _GRID = "#26323d", "#c5ccd3", "#e6eaee"
_DPI = 120


@dataclass
class Sample:
    """A clip and what the net makes of it."""

    frames: np.ndarray  # (T, H, W, C) uint8; C other than 3 is shown by its first channel
    truth: str
    predicted: str
    probability: float  # in [0, 1]
    correct: bool


def sample(
    frames: np.ndarray, scores: np.ndarray, label: np.ndarray | int, class_names: Sequence[str]
) -> Sample:
    """A clip with its best class by name.

    frames: (T, H, W, C) uint8; scores: (K,) probabilities; label: a class, or (K,) with a 1 for
    each.
    """
    truth = np.flatnonzero(label).tolist() if np.ndim(label) else [int(label)]
    best = int(np.argmax(scores))
    names = ", ".join(class_names[i] for i in truth) or "none"
    return Sample(frames, names, class_names[best], float(scores[best]), best in truth)


def curves(metrics: Path, picture: Path) -> None:
    """Training loss, learning rate and scores over the steps of a metrics.jsonl."""
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines() if line]
    names = dict.fromkeys(name for row in rows for name in row)
    losses = [name for name in names if name.rpartition("/")[2] == "loss"]
    scores = [
        name
        for name in names
        if "/" in name and not name.startswith("time/") and _is_share(rows, name)
    ]
    figure = _figure(12.5, 3.5)
    loss, rate, score = figure.subplots(1, 3)
    figure.subplots_adjust(wspace=0.22)
    for name, colour in zip(losses, _COLOURS, strict=False):
        _noisy_line(loss, *_series(rows, name), label=name, colour=colour)
    _decorate(loss, "loss")
    rate.plot(*_series(rows, "lr"), color=_BLUE, linewidth=1.6)
    _decorate(rate, "learning rate")
    rate.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    validation = [name for name in scores if not name.startswith("train/")]
    for name, colour in zip(validation, _COLOURS, strict=False):
        x, y = _series(rows, name)
        marker = "o" if len(x) <= 60 else None
        score.plot(x, y, color=colour, linewidth=1.8, marker=marker, markersize=3.5, label=name)
    for name, colour in zip([n for n in scores if n not in validation], _COLOURS, strict=False):
        x, y = _series(rows, name)
        score.plot(x, _smooth(y), color=colour, linewidth=1.2, linestyle=":", label=name)
    _decorate(score, "scores")
    score.set_ylim(0, 1.03)
    for axes in (loss, score):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")
    _save(figure, picture)


def sweep_curves(runs: Mapping[str, Path], score: str, picture: Path) -> None:
    """Training loss and validation score of several runs by name, best first."""
    figure = _figure(12.5, 4.2)
    loss, scores = figure.subplots(1, 2)
    for (name, path), colour in zip(runs.items(), itertools.cycle(_COLOURS), strict=False):
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        rows = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        for axes, key in ((loss, "train/loss"), (scores, f"val/{score}")):
            if any(row.get(key) is not None for row in rows):
                axes.plot(*_series(rows, key), color=colour, linewidth=1.4, label=name[:60])
    _decorate(loss, "train/loss")
    _decorate(scores, f"val/{score}")
    if len(runs) <= 12 and loss.get_legend_handles_labels()[0]:
        loss.legend(fontsize=6, frameon=True, framealpha=0.85, edgecolor="none")
    _save(figure, picture)


def confusion(matrix: np.ndarray, class_names: Sequence[str] | None, picture: Path) -> None:
    """The confusion matrix, each row as shares of its class, beside the most confused pairs.

    matrix: (K, K) counts, rows the true class. class_names: (K,), or None for numbers.
    """
    num_classes = len(matrix)
    names = [_short(n, 28) for n in class_names or [f"class {i}" for i in range(num_classes)]]
    shares = matrix / np.maximum(matrix.sum(axis=1), 1)[:, None]
    named = num_classes <= 40
    edge = min(max(4.0, 0.3 * num_classes), 7.5)
    figure = _figure(edge, edge)
    axes = figure.add_axes((0, 0, 1, 1))
    # A root lets the few confusions of many classes be seen.
    colours = shares ** (0.5 if named else 0.35)
    axes.imshow(colours, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    percent = num_classes <= 16
    axes.set_xlabel("predicted" + " (% of the true class)" * percent, fontsize=10)
    axes.set_ylabel("true", fontsize=10)
    axes.tick_params(labelsize=8, color=_LINE)
    axes.spines[:].set_color(_LINE)
    if named:
        size = 9 if num_classes <= 20 else 7
        axes.set_xticks(range(num_classes), names, rotation=90, fontsize=size)
        axes.set_yticks(range(num_classes), names, fontsize=size)
        axes.set_xticks(np.arange(num_classes + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(num_classes + 1) - 0.5, minor=True)
        axes.grid(which="minor", color=_GRID, linewidth=0.6)
        axes.tick_params(which="both", length=0)
    if percent:
        for (true, predicted), share in np.ndenumerate(shares):
            colour = "white" if share > 0.35 else _INK
            if share > 0:
                number = f"{100 * share:.0f}"
                axes.text(
                    predicted, true, number, ha="center", va="center", fontsize=8, color=colour
                )
    accuracy = np.trace(matrix) / max(matrix.sum(), 1)
    title = f"{num_classes} classes, {matrix.sum():,} samples, accuracy {100 * accuracy:.1f} %"
    axes.set_title(title, fontsize=10.5, loc="left", pad=10)
    text = "\n".join(_confused_pairs(matrix, names, 15) + _weakest_classes(matrix, names, 10))
    axes.text(
        *(1 + 0.3 / edge, 1, text),
        transform=axes.transAxes,
        va="top",
        fontsize=8,
        family="monospace",
        linespacing=1.5,
        color=_INK,
    )
    _save(figure, picture)


def _confused_pairs(matrix: np.ndarray, names: Sequence[str], count: int) -> list[str]:
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    lines = ["most confused: samples, share of the class, true → predicted"]
    for true, predicted in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if number := wrong[true, predicted]:
            share = 100 * number / matrix[true].sum()
            lines.append(f"{number:>5,} {share:>4.0f} %  {names[true]} → {names[predicted]}")
    return lines if len(lines) > 1 else ["no sample was confused"]


def _weakest_classes(matrix: np.ndarray, names: Sequence[str], count: int) -> list[str]:
    """Where the pairs leave something to say: the classes recognised least often."""
    if len(matrix) <= count:
        return []
    total = matrix.sum(axis=1)
    shares = np.where(total > 0, np.diag(matrix) / np.maximum(total, 1), np.inf)
    order = [i for i in np.argsort(shares, kind="stable")[:count] if total[i]]
    lines = [f"{total[i]:>5,} {100 * shares[i]:>4.0f} %  {names[i]}" for i in order]
    return ["", "weakest classes: samples, share recognised", *lines]


def chart(chart: Chart, picture: Path) -> None:
    """What a metric shows: bars, the largest on top, or curves."""
    if isinstance(chart, Lines):
        figure = _figure(6.5, 4)
        axes = figure.subplots()
        for (name, y), colour in zip(chart.lines.items(), itertools.cycle(_COLOURS), strict=False):
            axes.plot(chart.x, y, color=colour, linewidth=1.8, label=name)
        _decorate(axes, chart.title)
        axes.set_xlabel(chart.x_label, fontsize=9)
        axes.set_ylim(0, 1.03)
        if chart.lines:
            axes.legend(fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")
    else:
        defined = {name: value for name, value in chart.values.items() if not math.isnan(value)}
        names = sorted(defined, key=defined.__getitem__)
        figure = _figure(7, max(1.5, 0.2 * len(names) + 0.6))
        axes = figure.subplots()
        axes.barh(range(len(names)), [defined[name] for name in names], color=_BLUE)
        _decorate(axes, chart.title)
        axes.set_xlabel("")
        axes.set_xlim(0, 1.06)
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set_yticks(range(len(names)), [_short(name, 32) for name in names], fontsize=8)
        for place, name in enumerate(names):
            axes.annotate(
                f"{100 * defined[name]:.1f}",
                (defined[name], place),
                (3, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
                color=_INK,
            )
    _save(figure, picture)


def predictions(samples: Sequence[Sample], picture: Path, columns: int = 4) -> None:
    """A contact sheet: some frames of every clip below its predicted and its true class."""
    if not samples:
        raise ValueError(f"there is no sample to show in {picture}")
    columns = min(columns, len(samples))
    num_rows = math.ceil(len(samples) / columns)
    strips = [_strip(sample.frames) for sample in samples]
    aspect = max(strip.shape[0] / strip.shape[1] for strip in strips)
    width = min(max(1.4 / aspect, 2.3), 3.6)
    letters = int(width * 9)
    figure = _figure((width + 0.15) * columns, (width * aspect + 0.55) * num_rows)
    grid = figure.subplots(num_rows, columns, squeeze=False).reshape(-1)
    figure.subplots_adjust(
        0, 0, 1, 1 - 0.4 / figure.get_figheight(), 0.15 / width, 0.55 / aspect / width
    )
    for axes in grid:
        axes.axis("off")
    for axes, sample, strip in zip(grid, samples, strips, strict=False):
        axes.imshow(strip, interpolation="bilinear", cmap="gray", vmin=0, vmax=255)
        colour = _GREEN if sample.correct else _RED
        verdict = f"{_short(sample.predicted, letters)}  {100 * sample.probability:.0f} %"
        place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
        axes.annotate(verdict, (0, 1), (0, 16), **place, fontsize=9.5, color=colour, weight="bold")
        truth = f"true: {_short(sample.truth, letters + 6)}"
        axes.annotate(truth, (0, 1), (0, 4), **place, fontsize=8, color=_GREY)
    _save(figure, picture)


def _strip(frames: np.ndarray, count: int = 3) -> np.ndarray:
    """Some frames of (T, H, W, C), evenly spread, side by side with a white gap."""
    chosen = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    frames = frames[chosen] if frames.shape[-1] == 3 else frames[chosen][..., 0]
    gap = np.full_like(frames[0][:, : max(2, frames.shape[2] // 40)], 255)
    parts = [part for frame in frames for part in (frame, gap)][:-1]
    return np.concatenate(parts, axis=1)


def _series(rows: Sequence[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
    x, y = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(x, dtype=np.float64), np.array(y, dtype=np.float64)


def _is_share(rows: Sequence[dict[str, Any]], name: str) -> bool:
    values = _series(rows, name)[1]
    is_loss = name.rpartition("/")[2].startswith("loss")
    return len(values) > 0 and not is_loss and bool(values.min() >= 0 and values.max() <= 1)


def _smooth(values: np.ndarray) -> np.ndarray:
    """The mean of the values around each, over a fortieth of the whole."""
    half = len(values) // 80
    if half == 0:
        return values
    sums = np.concatenate([[0.0], np.cumsum(values)])
    start = np.maximum(np.arange(len(values)) - half, 0)
    stop = np.minimum(np.arange(len(values)) + half + 1, len(values))
    return (sums[stop] - sums[start]) / (stop - start)


def _noisy_line(axes: "Axes", x: np.ndarray, y: np.ndarray, *, label: str, colour: str) -> None:
    smooth = _smooth(y)
    if smooth is not y:
        axes.plot(x, y, color=colour, linewidth=0.7, alpha=0.3)
    axes.plot(x, smooth, color=colour, linewidth=1.8, label=label)


def _decorate(axes: "Axes", title: str) -> None:
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel("step", fontsize=9)
    axes.tick_params(labelsize=8, color=_LINE)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_LINE)


def _figure(width: float, height: float) -> "Figure":
    # Not pyplot, which keeps every figure in a global list and may want a display.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DPI)


def _save(figure: "Figure", picture: Path) -> None:
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, format="png", bbox_inches="tight", pad_inches=0.15)


def _short(text: str, length: int) -> str:
    """At most `length` letters; dollar signs are not formulas."""
    short = text if len(text) <= length else text[: length - 1] + "…"
    return short.replace("$", r"\$")
