"""Losses, learning rate and scores over the epochs of a run, or of several."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from vidrec.files.metrics_rows import Row, read_metrics
from vidrec.plots.style import (
    COLOURS,
    GREY,
    add_legend,
    decorate,
    new_figure,
    save_figure,
    shorten,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_IN_LEGEND = 12  # runs of a sweep
WIDTH, HEIGHT, MARGIN = 3.6, 3.2, 0.65  # inches of a plot, and between two of them
LETTER, HANDLE = 0.066, 0.4  # inches of a legend: a letter, and the line before them
LETTERS = 40  # of a name in a legend


class Selecting(Protocol):
    """A metric, of which one score selects the best epoch."""

    key: str
    higher_is_better: bool


def draw_curves(metrics: Path, path: Path, metric: Selecting | None = None) -> None:
    """Losses, learning rate and scores over the epochs of a metrics.jsonl.

    A loss or a score has one colour, with points in validation; scores of training are dotted.
    Until an epoch is over, steps take the place of epochs. metric: its best epoch gets a vertical
    line.
    """
    rows = _read(metrics)
    best_epoch = _best_epoch(rows, metric) if metric else None
    names = dict.fromkeys(name for row in rows for name in row)
    known = [name for name in names if "/" in name and not name.startswith("time/")]
    losses = [name for name in known if _short(name).startswith("loss")]
    rest = [name for name in known if name not in losses and _short(name) != "num_scored"]
    scores = [name for name in rest if _is_share(rows, name)]
    others = [name for name in rest if name not in scores]
    plots = {"loss": losses, "learning rate": ["lr"], "score": scores, "other scores": others}
    plots = {title: own for title, own in plots.items() if own or title != "other scores"}
    to_x, x_label = _axis(rows)
    figure, grid = _side_by_side([own if own != ["lr"] else [] for own in plots.values()])
    for axes, (title, own) in zip(grid, plots.items(), strict=True):
        for name in own:
            _draw_column(axes, rows, name, to_x, _colours(own)[_short(name)])
        decorate(axes, title, x_label)
        whole_numbers(axes)
        if title == "score":
            axes.set_ylim(0, 1.03)
        if best_epoch is not None:
            line = (0, (4, 3))
            axes.axvline(
                best_epoch, color=GREY, label="best epoch", lw=0.9, linestyle=line, zorder=0.5
            )
        if own != ["lr"]:
            add_legend(axes)
    save_figure(figure, path)


def _side_by_side(plots: Sequence[Sequence[str]]) -> tuple["Figure", list["Axes"]]:
    """A figure with axes in a row, each with room for a legend of these names at its right."""
    letters = [max(map(len, names), default=0) for names in plots]
    legends = [HANDLE + LETTER * min(max(count, 10), LETTERS) if count else 0 for count in letters]
    lefts = list(itertools.accumulate((WIDTH + MARGIN + room for room in legends), initial=0.0))
    figure = new_figure(lefts[-1], HEIGHT)
    width = WIDTH / lefts[-1]
    return figure, [figure.add_axes((left / lefts[-1], 0, width, 1)) for left in lefts[:-1]]


def _axis(rows: Sequence[Row]) -> tuple[Callable[[np.ndarray], np.ndarray], str]:
    """How steps become epochs, and the label of the axis.

    The last step of an epoch is always logged, so the steps of an epoch are known once one is over.
    """
    if not any("epoch" in row and (row["epoch"] > 1 or _is_validation(row)) for row in rows):
        return lambda steps: steps, "step"
    per_epoch = max(row["step"] / row["epoch"] for row in rows if row.get("epoch"))
    return lambda steps: steps / per_epoch, "epoch"


def _best_epoch(rows: Sequence[Row], metric: Selecting) -> float | None:
    """The first of the best ones; None without a validation."""
    name = f"val/{metric.key}"
    validated = [row for row in rows if name in row and "epoch" in row]
    sign = 1 if metric.higher_is_better else -1
    return max(validated, key=lambda row: sign * row[name])["epoch"] if validated else None


def _draw_column(
    axes: "Axes",
    rows: Sequence[Row],
    name: str,
    to_x: Callable[[np.ndarray], np.ndarray],
    colour: str,
) -> None:
    """Validation with points; training smoothed, losses in front of their values, scores dotted."""
    x, y = _series(rows, name)
    label, width = shorten(name, LETTERS), 2.0 if _short(name) in ("", "loss") else 1.5
    if name.startswith("val/"):
        marker = "o" if len(x) <= 60 else None
        axes.plot(to_x(x), y, color=colour, lw=width, marker=marker, markersize=3.5, label=label)
        return
    is_score = name.startswith("train/") and not _short(name).startswith("loss")
    smooth = y if name == "lr" else _smooth(y)
    if smooth is not y and not is_score:
        axes.plot(to_x(x), y, color=colour, lw=0.7, alpha=0.3)
    line, marker = ":" if is_score else "-", "." if len(x) == 1 else None
    axes.plot(to_x(x), smooth, color=colour, lw=width, linestyle=line, marker=marker, label=label)


def _colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name without its split, those of validation first."""
    shorts = dict.fromkeys(map(_short, sorted(names, key=lambda n: not n.startswith("val/"))))
    return dict(zip(shorts, itertools.cycle(COLOURS), strict=False))


def _short(name: str) -> str:
    return name.partition("/")[2]


def _is_validation(row: Row) -> bool:
    return any(name.startswith("val/") for name in row)


def draw_sweep_curves(runs: Mapping[str, Path], scores: Sequence[str], path: Path) -> None:
    """Training loss and validation scores of several runs, each score in axes of its own.

    runs: name -> metrics.jsonl, best first; a run may not have written it yet. scores: the metrics
    that select the best of the runs.
    """
    keys = ["train/loss", *(f"val/{score}" for score in scores)]
    with_legend = len(runs) <= MOST_IN_LEGEND
    last = [name[:60] for name in runs] if with_legend else []
    figure, grid = _side_by_side([*([key] for key in keys[:-1]), last])
    for (name, file), colour in zip(runs.items(), itertools.cycle(COLOURS), strict=False):
        rows = _read(file)
        to_x, x_label = _axis(rows)
        for axes, key in zip(grid, keys, strict=True):
            x, y = _series(rows, key)
            if len(x):
                label = shorten(name, 60)
                axes.plot(to_x(x), y, color=colour, linewidth=1.4, label=label)
            decorate(axes, key, x_label)
            whole_numbers(axes)
    if with_legend:
        add_legend(grid[-1], fontsize=6)
    save_figure(figure, path)


def _read(metrics: Path) -> list[Row]:
    return [row for _, row in read_metrics(metrics).rows]


def _series(rows: Sequence[Row], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of a column, without those that were not finite."""
    pairs = [(row["step"], row[name]) for row in rows if name in row]
    x, y = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(x, dtype=np.float64), np.array(y, dtype=np.float64)


def _is_share(rows: Sequence[Row], name: str) -> bool:
    """All values lie in [0, 1]."""
    values = _series(rows, name)[1]
    return len(values) > 0 and bool(values.min() >= 0 and values.max() <= 1)


def _smooth(values: np.ndarray) -> np.ndarray:
    """The mean of the values around each, over a fortieth of the whole."""
    half = len(values) // 80
    if half == 0:
        return values
    sums = np.concatenate([[0.0], np.cumsum(values)])
    start = np.maximum(np.arange(len(values)) - half, 0)
    stop = np.minimum(np.arange(len(values)) + half + 1, len(values))
    return (sums[stop] - sums[start]) / (stop - start)
