"""The confusion matrix of a classifier, with what it confuses most."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidrec.plots.style import GRID, LINE, TEXT, new_figure, save_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_WITH_NAMES, MOST_WITH_SHARES = 40, 16  # classes


def draw_confusion(
    matrix: np.ndarray, class_names: Sequence[str] | None, path: Path, title: str = ""
) -> None:
    """The confusion matrix, each row normalised, beside the most confused pairs.

    Where there are too many classes for names at the axes, their numbers are there and in the list;
    at both also where shortened names are the same.

    matrix: (K, K) counts, a row for each true class. class_names: (K,), or None for numbers.
    """
    num_classes = len(matrix)
    names = [shorten(n, 28) for n in class_names or [f"class {i}" for i in range(num_classes)]]
    shares = matrix / np.maximum(matrix.sum(axis=1), 1)[:, None]
    with_names = num_classes <= MOST_WITH_NAMES
    if not with_names or len(set(names)) < num_classes:
        names = [f"[{i}] {name}" for i, name in enumerate(names)]
    inches = min(max(3.0, 0.3 * num_classes), 7.5)
    figure = new_figure(inches, inches)
    axes = figure.add_axes((0, 0, 1, 1))
    # A root makes the few confusions of many classes visible.
    colours = shares ** (0.5 if with_names else 0.35)
    axes.imshow(colours, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    with_shares = num_classes <= MOST_WITH_SHARES
    number = "" if with_names else ", number of the class"
    axes.set_xlabel(f"predicted{number}", fontsize=10)
    axes.set_ylabel("true" + (" (shares of the row)" if with_shares else number), fontsize=10)
    axes.tick_params(labelsize=8, color=LINE)
    axes.spines[:].set_color(LINE)
    if with_names:
        _name_classes(axes, names)
    if with_shares:
        _write_shares(axes, shares)
    accuracy = np.trace(matrix) / max(matrix.sum(), 1)
    count = f"{num_classes} classes, {matrix.sum():,} samples, accuracy {accuracy:.4f}"
    heading = f"{shorten(title, 120)}\n{count}" if title else count
    axes.set_title(heading, fontsize=10.5, loc="left", pad=10, color=TEXT)
    text = "\n".join(_confused_pairs(matrix, names, 15) + _weakest_classes(matrix, names, 10))
    axes.text(
        *(1 + 0.3 / inches, 1, text),
        transform=axes.transAxes,
        va="top",
        fontsize=8,
        family="monospace",
        linespacing=1.5,
        color=TEXT,
    )
    save_figure(figure, path)


def _name_classes(axes: "Axes", names: Sequence[str]) -> None:
    """Names at both axes and lines between the classes."""
    num_classes = len(names)
    size = 9 if num_classes <= 20 else 7
    axes.set_xticks(range(num_classes), names, rotation=90, fontsize=size)
    axes.set_yticks(range(num_classes), names, fontsize=size)
    axes.set_xticks(np.arange(num_classes + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(num_classes + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=GRID, linewidth=0.6)
    axes.tick_params(which="both", length=0)


def _write_shares(axes: "Axes", shares: np.ndarray) -> None:
    """The share of every cell that is not empty."""
    for (true, predicted), share in np.ndenumerate(shares):
        if share > 0:
            number = "1" if share == 1 else f"{share:.2f}".removeprefix("0")
            colour = "white" if share > 0.35 else TEXT
            axes.text(predicted, true, number, ha="center", va="center", fontsize=8, color=colour)


def _confused_pairs(matrix: np.ndarray, names: Sequence[str], count: int) -> list[str]:
    """A line for each of the pairs with the most samples, below a heading."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    lines = ["most confused: samples, share of the true class, true → predicted"]
    for true, predicted in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if number := wrong[true, predicted]:
            share = number / matrix[true].sum()
            lines.append(f"{number:>5,} {share:>6.2f}  {names[true]} → {names[predicted]}")
    return lines if len(lines) > 1 else ["no sample was confused"]


def _weakest_classes(matrix: np.ndarray, names: Sequence[str], count: int) -> list[str]:
    """The classes with the lowest recall; nothing if there are few classes at all."""
    if len(matrix) <= count:
        return []
    total = matrix.sum(axis=1)
    recall = np.where(total > 0, np.diag(matrix) / np.maximum(total, 1), np.inf)
    order = [i for i in np.argsort(recall, kind="stable")[:count] if total[i]]
    lines = [f"{total[i]:>5,} {recall[i]:>6.2f}  {names[i]}" for i in order]
    return ["", "weakest classes: samples, share recognised", *lines]
