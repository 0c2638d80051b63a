"""Pictures of segments: what was found in a video above what is there."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidrec.data.segments.records import SegmentRecord, SegmentRecords
from vidrec.metrics.activitynet_json import SegmentDetections
from vidrec.plots.figures import _BLUE, _GREEN, _GREY, _LINE, _figure, _save, _short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 8  # best segments of a video


def draw_all_segments(detections: SegmentDetections, records: SegmentRecords, folder: Path) -> None:
    """One picture a video, FOLDER/NAME.png."""
    for row, record in enumerate(records):
        own = np.flatnonzero(detections.rows == row)
        if not len(own):
            continue
        figure = _figure(9, 2.6)
        _timeline(figure.subplots(), record, records, detections, own)
        name = re.sub(r"[^\w.-]+", "_", record.name)
        _save(figure, folder / f"{name}.png")


def draw_segments(rows: dict[str, np.ndarray], records: SegmentRecords, picture: Path) -> None:
    """Twelve sequences spread over the list on one sheet.

    rows: of a metric, see `SegmentMetric`.
    """
    chosen = np.unique(np.linspace(0, len(rows["index"]) - 1, 12).astype(int))
    figure = _figure(13, 1.9 * -(-len(chosen) // 2))
    grid = figure.subplots(-(-len(chosen) // 2), 2, squeeze=False).reshape(-1)
    figure.subplots_adjust(hspace=0.75, wspace=0.08)
    for axes in grid[len(chosen) :]:
        axes.axis("off")
    for axes, i in zip(grid, chosen.tolist(), strict=False):
        row, count = int(rows["row"][i]), int(rows["count"][i])
        found = SegmentDetections(
            np.full(count, row), rows["segments"][i, :count], rows["scores"][i, :count]
        )
        _timeline(axes, records[row], records, found, np.arange(count))
    _save(figure, picture)


def _timeline(
    axes: "Axes",
    record: SegmentRecord,
    records: SegmentRecords,
    detections: SegmentDetections,
    own: np.ndarray,
) -> None:
    """Bars over the seconds of a video: the truth below, the best segments above it."""
    best = own[np.argsort(-detections.scores[own], kind="stable")][:SHOWN]
    for (start, end), label in zip(record.segments, record.labels, strict=True):
        axes.barh(0, end - start, left=start, height=0.8, color=_GREEN, alpha=0.85)
        name = _short(records.classes[label], 24)
        axes.text((start + end) / 2, 0, name, ha="center", va="center", fontsize=7, color="white")
    highest = max(float(detections.scores[best].max(initial=0.0)), 1e-12)
    for place, i in enumerate(best.tolist(), start=1):
        start, end = detections.segments[i]
        strength = 0.25 + 0.75 * float(detections.scores[i]) / highest
        axes.barh(place, end - start, left=start, height=0.7, color=_BLUE, alpha=strength)
        score = f"{detections.scores[i]:.2f}"
        axes.text(end, place, f" {score}", va="center", fontsize=6.5, color=_GREY)
    axes.set_xlim(0, record.duration)
    axes.set_ylim(-0.7, max(len(best), 1) + 0.7)
    axes.set_yticks([0, (1 + max(len(best), 1)) / 2], ["truth", "found"], fontsize=8)
    axes.set_title(_short(f"{record.name}, {record.duration:.0f} s", 60), fontsize=9, loc="left")
    axes.tick_params(labelsize=7, color=_LINE)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_LINE)
