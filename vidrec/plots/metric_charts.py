"""Drawing the charts that metrics offer (`vidrec.metrics.charts`)."""

import itertools
import math
from pathlib import Path

from vidrec.metrics.charts import Bars, Chart, Lines
from vidrec.plots.style import (
    BLUE,
    COLOURS,
    TEXT,
    add_legend,
    decorate,
    new_figure,
    save_figure,
    shorten,
)


def draw_chart(chart: Chart, path: Path) -> None:
    """Write curves or bars as a PNG."""
    if isinstance(chart, Lines):
        _draw_lines(chart, path)
    else:
        _draw_bars(chart, path)


def _draw_lines(chart: Lines, path: Path) -> None:
    figure = new_figure(6.5, 4)
    axes = figure.subplots()
    for (name, y), colour in zip(chart.lines.items(), itertools.cycle(COLOURS), strict=False):
        axes.plot(chart.x, y, color=colour, linewidth=1.8, label=name)
    decorate(axes, chart.title)
    axes.set_xlabel(chart.x_label, fontsize=9)
    axes.set_ylim(0, 1.03)
    add_legend(axes)
    save_figure(figure, path)


def _draw_bars(chart: Bars, path: Path) -> None:
    """The longest at the top, each with its value in per cent; NaN is left out."""
    defined = {name: value for name, value in chart.values.items() if not math.isnan(value)}
    names = sorted(defined, key=defined.__getitem__)
    figure = new_figure(7, max(1.5, 0.2 * len(names) + 0.6))
    axes = figure.subplots()
    axes.barh(range(len(names)), [defined[name] for name in names], color=BLUE)
    decorate(axes, chart.title)
    axes.set_xlabel("")
    axes.set_xlim(0, 1.06)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_yticks(range(len(names)), [shorten(name, 32) for name in names], fontsize=8)
    for place, name in enumerate(names):
        axes.annotate(
            f"{100 * defined[name]:.1f}",
            (defined[name], place),
            (3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color=TEXT,
        )
    save_figure(figure, path)
