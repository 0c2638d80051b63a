"""Drawing the charts that metrics offer (`vidrec.metrics.charts`)."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidrec.metrics.charts import Bars, Chart, Lines
from vidrec.plots.style import (
    BLUE,
    COLOURS,
    GREY,
    TEXT,
    add_legend,
    decorate,
    new_figure,
    save_figure,
    shorten,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_IN_COLUMN, MOST_IN_COLUMNS = 40, 200  # classes with a bar
ENDS = 40  # best and worst of more classes, each
BAR, NAMES, WIDTH = 0.2, 2.1, 2.0  # inches: height of a bar, width of the names and of the bars
COLUMN = NAMES + WIDTH + 0.5  # inches, with the value of the longest bar


def draw_chart(chart: Chart, path: Path, title: str = "") -> None:
    """Write curves or bars as a PNG; title: of what data, above the chart's own."""
    if isinstance(chart, Lines):
        _draw_lines(chart, path, title)
    else:
        _draw_bars(chart, path, title)


def _draw_lines(chart: Lines, path: Path, title: str) -> None:
    figure = new_figure(6, 4)
    axes = figure.subplots()
    for (name, y), colour in zip(chart.lines.items(), itertools.cycle(COLOURS), strict=False):
        axes.plot(chart.x, y, color=colour, linewidth=1.8, label=name)
    heading = f"{shorten(title, 70)}\n{chart.title}" if title else chart.title
    decorate(axes, heading, chart.x_label)
    axes.set_ylim(0, 1.03)
    add_legend(axes)
    save_figure(figure, path)


def _draw_bars(chart: Bars, path: Path, title: str) -> None:
    """The longest first, each with its value; NaN is left out, and counted.

    Beyond MOST_IN_COLUMNS classes: the values in their order, the best and the worst of them by
    name.
    """
    defined = {name: value for name, value in chart.values.items() if not math.isnan(value)}
    names = sorted(defined, key=lambda name: -defined[name])
    if len(names) <= MOST_IN_COLUMNS:
        num_columns = max(-(-len(names) // MOST_IN_COLUMN), 1)
        each = max(-(-len(names) // num_columns), 1)
        parts = [names[i * each : (i + 1) * each] for i in range(num_columns)]
    else:
        each, parts = ENDS, [names[:ENDS], names[-ENDS:]]
    has_profile = len(names) > MOST_IN_COLUMNS
    size = (COLUMN * (len(parts) + has_profile), BAR * each + 0.4)
    figure = new_figure(*size)
    for column, part in enumerate(parts, start=int(has_profile)):
        left = (COLUMN * column + NAMES) / size[0]
        axes = figure.add_axes((left, 0, WIDTH / size[0], 1))
        _draw_column(axes, part, [defined[name] for name in part], each)
        if has_profile:
            which = "best" if part is parts[0] else "worst"
            axes.set_title(f"the {which} {ENDS}", fontsize=9, loc="left")
    if has_profile:
        axes = figure.add_axes((NAMES / 2 / size[0], 0, WIDTH / size[0], 1))
        _draw_profile(axes, [defined[name] for name in names])
    mean = f"mean {np.mean(list(defined.values())):.4f}, " if defined else ""
    idle = len(chart.values) - len(defined)
    below = f"{mean}classes: {len(names)}" + f", {idle} more without a sample" * bool(idle)
    above = 0.3 if has_profile else 0.1
    heading = f"{shorten(title, 120)}\n{chart.title}" if title else chart.title
    figure.text(NAMES / 2 / size[0], 1 + (above + 0.2) / size[1], heading, fontsize=11, va="bottom")
    figure.text(NAMES / 2 / size[0], 1 + above / size[1], below, fontsize=9, color=GREY)
    save_figure(figure, path)


def _draw_column(axes: "Axes", names: Sequence[str], values: Sequence[float], room: int) -> None:
    """Bars from top to bottom in a column that has room for `room` of them."""
    axes.barh(range(len(names)), values, color=BLUE)
    decorate(axes, "")
    axes.set_xlim(0, 1)
    axes.set_ylim(room - 0.4, -0.6)
    axes.set_yticks(range(len(names)), [shorten(name, 30) for name in names], fontsize=8)
    for place, value in enumerate(values):
        axes.annotate(
            f"{value:.3f}",
            (value, place),
            (3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color=TEXT,
        )


def _draw_profile(axes: "Axes", values: Sequence[float]) -> None:
    """All values, the highest first, as a filled curve."""
    axes.fill_between(range(1, len(values) + 1), values, color=BLUE, alpha=0.25)
    axes.plot(range(1, len(values) + 1), values, color=BLUE, linewidth=1.6)
    decorate(axes, "", "rank of the class")
    axes.set_title("all classes, best first", fontsize=9, loc="left")
    axes.set_xlim(1, len(values))
    axes.set_ylim(0, 1)
