"""The look that all matplotlib figures share."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, GREY = "#2f6db3", "#e08214", "#2c8c4b", "#c0392b", "#5f6b76"
COLOURS = (BLUE, ORANGE, GREEN, "#8e5ea2", "#c0392b", "#17a2b8", "#7f6a3f", GREY)
TEXT, LINE, GRID = "#26323d", "#c5ccd3", "#e6eaee"
DPI = 120


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure; width and height in inches."""
    # Not pyplot's, which keeps every figure in a global list and may want a display.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI)


def decorate(axes: "Axes", title: str) -> None:
    """Title, grid and frame of a plot over training steps."""
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel("step", fontsize=9)
    axes.tick_params(labelsize=8, color=LINE)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    open_frame(axes)


def open_frame(axes: "Axes") -> None:
    """Only the left and the lower line of the frame."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LINE)


def add_legend(axes: "Axes", fontsize: int = 8) -> None:
    """A legend, if anything has a label."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=fontsize, frameon=True, framealpha=0.85, edgecolor="none")


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a PNG; its folder is made if it does not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", bbox_inches="tight", pad_inches=0.15)


def shorten(text: str, length: int) -> str:
    """At most `length` letters, with dollar signs escaped: matplotlib would read formulas.

    >>> shorten("playing the violin", 8)
    'playing…'
    """
    short = text if len(text) <= length else text[: length - 1] + "…"
    return short.replace("$", r"\$")
