"""Timelines of videos: detected segments above the ground truth."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidrec.data.segments.records import SegmentRecord, SegmentRecords
from vidrec.metrics.activitynet_json import SegmentDetections
from vidrec.plots.style import BLUE, GREEN, GREY, LINE, new_figure, open_frame, save_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 8  # best segments of a video
ON_SHEET = 12  # sequences


def draw_all_segments(detections: SegmentDetections, records: SegmentRecords, folder: Path) -> None:
    """Write FOLDER/NAME.png for each video that has detections."""
    for row, record in enumerate(records):
        own = np.flatnonzero(detections.rows == row)
        if not len(own):
            continue
        figure = new_figure(9, 2.6)
        segments, scores = detections.segments[own], detections.scores[own]
        _draw_timeline(figure.subplots(), record, records.classes, segments, scores)
        name = re.sub(r"[^\w.-]+", "_", record.name)
        save_figure(figure, folder / f"{name}.png")


def draw_segments(rows: Mapping[str, np.ndarray], records: SegmentRecords, path: Path) -> None:
    """Write one sheet with the timelines of sequences that are spread evenly over the rows.

    rows: of a metric, see `SegmentMetric`.
    """
    chosen = np.unique(np.linspace(0, len(rows["index"]) - 1, ON_SHEET).astype(int))
    num_rows = -(-len(chosen) // 2)
    figure = new_figure(13, 1.9 * num_rows)
    grid = figure.subplots(num_rows, 2, squeeze=False).reshape(-1)
    figure.subplots_adjust(hspace=0.75, wspace=0.08)
    for axes in grid[len(chosen) :]:
        axes.axis("off")
    for axes, i in zip(grid, chosen.tolist(), strict=False):
        record, count = records[int(rows["row"][i])], int(rows["count"][i])
        segments, scores = rows["segments"][i, :count], rows["scores"][i, :count]
        _draw_timeline(axes, record, records.classes, segments, scores)
    save_figure(figure, path)


def _draw_timeline(
    axes: "Axes",
    record: SegmentRecord,
    classes: tuple[str, ...],
    segments: np.ndarray,
    scores: np.ndarray,
) -> None:
    """Bars over the seconds of a video: the ground truth and, above it, the best segments.

    segments: (P, 2), scores: (P,).
    """
    for (start, end), label in zip(record.segments, record.labels, strict=True):
        axes.barh(0, end - start, left=start, height=0.8, color=GREEN, alpha=0.85)
        name = shorten(classes[label], 24)
        axes.text((start + end) / 2, 0, name, ha="center", va="center", fontsize=7, color="white")
    best = np.argsort(-scores, kind="stable")[:SHOWN]
    highest = max(float(scores[best].max(initial=0.0)), 1e-12)
    for place, i in enumerate(best.tolist(), start=1):
        start, end = segments[i]
        opacity = 0.25 + 0.75 * float(scores[i]) / highest
        axes.barh(place, end - start, left=start, height=0.7, color=BLUE, alpha=opacity)
        axes.text(end, place, f" {scores[i]:.2f}", va="center", fontsize=6.5, color=GREY)
    axes.set_xlim(0, record.duration)
    axes.set_ylim(-0.7, max(len(best), 1) + 0.7)
    axes.set_yticks([0, (1 + max(len(best), 1)) / 2], ["truth", "found"], fontsize=8)
    axes.set_title(shorten(f"{record.name}, {record.duration:.0f} s", 60), fontsize=9, loc="left")
    axes.tick_params(labelsize=7, color=LINE)
    open_frame(axes)
