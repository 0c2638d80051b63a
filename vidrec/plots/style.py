"""The look that all matplotlib figures share."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from vidrec.files.atomic_write import atomic_write
from vidrec.plots.lettering import drawable, further_families, width_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, GREY = "#2f6db3", "#e08214", "#2c8c4b", "#c0392b", "#5f6b76"
COLOURS = (BLUE, ORANGE, GREEN, "#8e5ea2", "#c0392b", "#17a2b8", "#7f6a3f", GREY)
TEXT, LINE, GRID = "#26323d", "#c5ccd3", "#e6eaee"
DPI = 120
LETTERS_PER_INCH = 12  # of the size that captions have


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure; width and height in inches."""
    # Not pyplot's, which keeps every figure in a global list and may want a display.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI)


def decorate(axes: "Axes", title: str, x_label: str = "") -> None:
    """Title, grid and frame of a plot."""
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel(x_label, fontsize=9)
    axes.tick_params(labelsize=8, color=LINE)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    open_frame(axes)


def whole_numbers(axes: "Axes") -> None:
    """No ticks between them at the x axis."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def open_frame(axes: "Axes") -> None:
    """Only the left and the lower line of the frame."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LINE)


def add_legend(axes: "Axes", fontsize: float = 8) -> None:
    """A legend to the right of the axes, if anything has a label: it never hides a line."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            fontsize=fontsize,
            frameon=False,
            loc="upper left",
            bbox_to_anchor=(1.0, 1.02),
            borderaxespad=0.2,
            handlelength=1.6,
        )


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a PNG, its texts in fonts that have their letters; its folder is made if needed."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if further := further_families(text.get_text()):
            text.set_fontfamily([*text.get_fontfamily(), *further])
    with atomic_write(path, sync=False) as stream:
        figure.savefig(stream, format="png", bbox_inches="tight", pad_inches=0.15)


def shorten(text: str, length: int, *, from_left: bool = False) -> str:
    """A text to draw that is at most `length` letters wide, for matplotlib.

    from_left: keep the end, as of paths. Dollar signs are escaped: matplotlib would read formulas.

    >>> shorten("playing the violin", 8), shorten("folder/of/clip.mp4", 10, from_left=True)
    ('playing…', '…/clip.mp4')
    """
    return clipped(text, length, from_left=from_left).replace("$", r"\$")


def clipped(text: str, length: int, *, from_left: bool = False) -> str:
    """The same for pictures that are drawn without matplotlib. Wide letters count as two.

    >>> clipped("costs 5 $ or more", 11)
    'costs 5 $…'
    """
    text = drawable(text)
    if sum(map(width_of, text)) <= length:
        return text
    ends = itertools.accumulate(map(width_of, reversed(text) if from_left else text))
    kept = sum(end < length for end in ends)
    return "…" + text[len(text) - kept :].lstrip() if from_left else text[:kept].rstrip() + "…"
