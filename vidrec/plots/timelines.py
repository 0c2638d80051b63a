"""Timelines of videos: detected segments above the ground truth, if there is any."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidrec.data.segments.records import SegmentRecord, SegmentRecords
from vidrec.metrics.activitynet_json import SegmentDetections
from vidrec.plots.style import (
    BLUE,
    GREEN,
    GREY,
    LINE,
    TEXT,
    new_figure,
    open_frame,
    save_figure,
    shorten,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 8  # best segments of a video
ON_SHEET = 12  # sequences
WIDTH = 6.2  # inches of a timeline
LETTERS_PER_INCH = 15  # of the names on bars


def draw_all_segments(detections: SegmentDetections, records: SegmentRecords, folder: Path) -> None:
    """Write FOLDER/NAME.png for each video that has detections."""
    taken: set[str] = set()
    for row, record in enumerate(records):
        own = np.flatnonzero(detections.rows == row)
        if not len(own):
            continue
        figure = new_figure(WIDTH, 1.9)
        labels = [detections.labels[i] for i in own.tolist()] if detections.labels else None
        segments, scores = detections.segments[own], detections.scores[own]
        axes = figure.add_axes((0, 0, 1, 1))
        _draw_timeline(axes, record, records.classes, segments, scores, labels)
        axes.set_xlabel("seconds", fontsize=8)
        name = re.sub(r"[^\w.-]+", "_", record.name)
        name = name if name not in taken else f"{name}_{row}"
        taken.add(name)
        save_figure(figure, folder / f"{name}.png")


def draw_segments(
    rows: Mapping[str, np.ndarray], records: SegmentRecords, path: Path, title: str = ""
) -> None:
    """Write one sheet with the timelines of sequences that are spread evenly over the rows.

    rows: of a metric, see `SegmentMetric`. Raises ValueError if there are none.
    """
    if not len(rows["index"]):
        raise ValueError(f"there is no sequence to show in {path}")
    chosen = np.unique(np.linspace(0, len(rows["index"]) - 1, ON_SHEET).astype(int))
    columns = min(len(chosen), 2)
    num_rows = -(-len(chosen) // columns)
    height = 1.9 * num_rows
    figure = new_figure((WIDTH + 0.6) * columns, height)
    grid = figure.subplots(num_rows, columns, squeeze=False).reshape(-1)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1, hspace=0.6, wspace=0.12)
    figure.text(0, 1 + 0.35 / height, shorten(title, 160), fontsize=10, color=TEXT)
    for axes in grid[len(chosen) :]:
        axes.axis("off")
    for axes, i in zip(grid, chosen.tolist(), strict=False):
        record, count = records[int(rows["row"][i])], int(rows["count"][i])
        segments, scores = rows["segments"][i, :count], rows["scores"][i, :count]
        _draw_timeline(axes, record, records.classes, segments, scores)
    for axes in grid[max(len(chosen) - columns, 0) : len(chosen)]:
        axes.set_xlabel("seconds", fontsize=8)
    save_figure(figure, path)


def _draw_timeline(
    axes: "Axes",
    record: SegmentRecord,
    classes: tuple[str, ...],
    segments: np.ndarray,
    scores: np.ndarray,
    labels: Sequence[str] | None = None,
) -> None:
    """Bars over the seconds of a video: the ground truth and, above it, the best segments.

    segments: (P, 2), scores: (P,), labels: (P,) names of classes, if they are known.
    """
    end_of_axis = max(record.duration, float(segments.max(initial=0.0))) or 1.0
    lanes = _draw_truth(axes, record, classes, end_of_axis)
    best = np.argsort(-scores, kind="stable")[:SHOWN]
    highest = max(float(scores[best].max(initial=0.0)), 1e-12)
    for place, i in enumerate(best.tolist(), start=1):
        start, end = segments[i]
        opacity = 0.25 + 0.75 * float(scores[i]) / highest
        axes.barh(place, end - start, left=start, height=0.7, color=BLUE, alpha=opacity)
        name = f" {shorten(labels[i], 24)}" if labels else ""
        axes.text(end, place, f" {scores[i]:.2f}{name}", va="center", fontsize=6.5, color=GREY)
    axes.set_xlim(0, end_of_axis)
    axes.set_ylim(0.3 - lanes, max(len(best), 1) + 0.7)
    middle = (1 + max(len(best), 1)) / 2
    if not len(best):
        axes.text(end_of_axis / 2, middle, "no segment", ha="center", fontsize=8, color=GREY)
    ticks = {"truth": (1 - lanes) / 2, "detected": middle}
    ticks = ticks if lanes else {"detected": middle}
    axes.set_yticks(list(ticks.values()), list(ticks), fontsize=8)
    title = f"{shorten(record.name, 60)}, {record.duration:.0f} s"
    axes.set_title(title, fontsize=9, loc="left")
    axes.tick_params(labelsize=7, color=LINE)
    open_frame(axes)


def _draw_truth(
    axes: "Axes", record: SegmentRecord, classes: tuple[str, ...], end_of_axis: float
) -> int:
    """A bar for each true segment, its name in it or, if that is too short, behind it.

    Bars that overlap are in lanes from 0 downwards; returns how many lanes there are.
    """
    letters_per_second = WIDTH * LETTERS_PER_INCH / end_of_axis
    lanes: list[list[int]] = []
    for i in np.argsort(record.segments[:, 0], kind="stable").tolist():
        free = (lane for lane in lanes if record.segments[lane[-1], 1] <= record.segments[i, 0])
        lane = next(free, None)
        if lane is None:
            lanes.append([i])
        else:
            lane.append(i)
    for number, lane in enumerate(lanes):
        nexts = [*record.segments[lane[1:], 0].tolist(), end_of_axis]
        for i, following in zip(lane, nexts, strict=True):
            start, end = record.segments[i].tolist()
            axes.barh(-number, end - start, left=start, height=0.8, color=GREEN, alpha=0.85)
            name, room = classes[record.labels[i]], (end - start) * letters_per_second
            behind = (following - end) * letters_per_second
            if len(name) > room and behind > room:
                x, align, colour, room = end, "left", GREEN, behind - 1
                name = f" {shorten(name, max(int(room), 2))}"
            else:
                x, align, colour = (start + end) / 2, "center", "white"
                name = shorten(name, max(int(room), 2))
            axes.text(x, -number, name, ha=align, va="center", color=colour, fontsize=7)
    return len(lanes)
