"""Losses, learning rate and scores over the steps of a run, or of several."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidrec.files.metrics_rows import Row, read_metrics
from vidrec.plots.style import BLUE, COLOURS, add_legend, decorate, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_IN_LEGEND = 12  # runs of a sweep


def draw_curves(metrics: Path, path: Path) -> None:
    """Losses, learning rate and scores over the steps of a metrics.jsonl."""
    rows = _read(metrics)
    names = dict.fromkeys(name for row in rows for name in row)
    losses = [name for name in names if name.rpartition("/")[2] == "loss"]
    scores = [
        name
        for name in names
        if "/" in name and not name.startswith("time/") and _is_score(rows, name)
    ]
    figure = new_figure(12.5, 3.5)
    loss_axes, rate_axes, score_axes = figure.subplots(1, 3)
    figure.subplots_adjust(wspace=0.22)
    _draw_losses(loss_axes, rows, losses)
    rate_axes.plot(*_series(rows, "lr"), color=BLUE, linewidth=1.6)
    decorate(rate_axes, "learning rate")
    rate_axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    _draw_scores(score_axes, rows, scores)
    save_figure(figure, path)


def _draw_losses(axes: "Axes", rows: Sequence[Row], names: Sequence[str]) -> None:
    """Each smoothed, in front of its values."""
    for name, colour in zip(names, COLOURS, strict=False):
        x, y = _series(rows, name)
        smooth = _smooth(y)
        if smooth is not y:
            axes.plot(x, y, color=colour, linewidth=0.7, alpha=0.3)
        axes.plot(x, smooth, color=colour, linewidth=1.8, label=name)
    decorate(axes, "loss")
    add_legend(axes)


def _draw_scores(axes: "Axes", rows: Sequence[Row], names: Sequence[str]) -> None:
    """Those of validation as lines, those of training batches smoothed and dotted."""
    validation = [name for name in names if not name.startswith("train/")]
    training = [name for name in names if name.startswith("train/")]
    for name, colour in zip(validation, COLOURS, strict=False):
        x, y = _series(rows, name)
        marker = "o" if len(x) <= 60 else None
        axes.plot(x, y, color=colour, linewidth=1.8, marker=marker, markersize=3.5, label=name)
    for name, colour in zip(training, COLOURS, strict=False):
        x, y = _series(rows, name)
        axes.plot(x, _smooth(y), color=colour, linewidth=1.2, linestyle=":", label=name)
    decorate(axes, "scores")
    axes.set_ylim(0, 1.03)
    add_legend(axes)


def draw_sweep_curves(runs: Mapping[str, Path], scores: Sequence[str], path: Path) -> None:
    """Training loss and validation scores of several runs, each score in axes of its own.

    runs: name -> metrics.jsonl, best first; a run may not have written it yet. scores: the metrics
    that select the best of the runs.
    """
    keys = ["train/loss", *(f"val/{score}" for score in scores)]
    figure = new_figure(6.25 * max(len(keys), 2), 4.2)
    grid = figure.subplots(1, len(keys), squeeze=False)[0]
    for (name, file), colour in zip(runs.items(), itertools.cycle(COLOURS), strict=False):
        rows = _read(file)
        for axes, key in zip(grid, keys, strict=True):
            if any(key in row for row in rows):
                axes.plot(*_series(rows, key), color=colour, linewidth=1.4, label=name[:60])
    for axes, key in zip(grid, keys, strict=True):
        decorate(axes, key)
    if len(runs) <= MOST_IN_LEGEND:
        add_legend(grid[0], fontsize=6)
    save_figure(figure, path)


def _read(metrics: Path) -> list[Row]:
    return [row for _, row in read_metrics(metrics).rows]


def _series(rows: Sequence[Row], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of a column, without those that were not finite."""
    pairs = [(row["step"], row[name]) for row in rows if name in row]
    x, y = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(x, dtype=np.float64), np.array(y, dtype=np.float64)


def _is_score(rows: Sequence[Row], name: str) -> bool:
    """All values lie in [0, 1], and they are no losses."""
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
