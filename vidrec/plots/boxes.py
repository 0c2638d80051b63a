"""Key frames with the actions detected in them: those with the highest and the lowest precision.

Where there is no ground truth, those with the highest scores.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from vidrec.metrics.ava_map import AVAMeanAP
from vidrec.ops.box_iou import box_iou
from vidrec.plots.clips import Samples
from vidrec.plots.labelled_boxes import (
    CORRECT,
    DARK,
    MISSED,
    PLAIN,
    UNKNOWN,
    WRONG,
    LabelledBox,
    draw_labelled_boxes,
)
from vidrec.plots.lettering import font_for
from vidrec.plots.style import clipped
from vidrec.plots.video_grid import write_grid

HEIGHT = 288  # of a frame, pixels
BAR = 22  # above it, for a line of text
LEAST_WIDTH = 224  # of a frame with the margin at its right
LETTERS = 24  # of an action's name
MIN_SCORE = 0.3  # of an action that is drawn
MOST_LABELS, MOST_BOXES = 3, 8  # per box, per key frame
IN_VIDEO = 3  # key frames of each kind


@dataclass
class KeyFrameSample:
    """A clip with the boxes of its key frame."""

    title: str
    frames: np.ndarray  # (T, H, W, C) uint8
    boxes: list[LabelledBox]


def draw_boxes(
    metric: AVAMeanAP,
    rows: Mapping[str, np.ndarray],
    dataset: Samples,
    folder: Path,
    count: int = 6,
    title: str = "",
) -> list[Path]:
    """Write best.png, worst.png and boxes.mp4, which shows three of each; returns their paths.

    Detected boxes are solid, with correct actions in green and wrong ones in red. True boxes are
    dashed, with the actions that were missed in yellow. Actions with scores below 0.3 are not
    shown.

    If no key frame has a true box, those with the highest scores are in detections.png instead.

    rows: of the metric. dataset: whose records the metric has. count: key frames on a sheet. title:
    of the sheets.
    """
    best, worst = extremes(metric.frame_precisions(dict(rows)), count)
    sheets: dict[str, Sequence[tuple[int, float]]] = {"best": best, "worst": worst}
    if not best:
        sheets = {"detections": [(row, math.nan) for row in surest(metric, rows, count)]}
    samples = {
        name: [
            sample
            for row, precision in chosen
            if (sample := load_sample(metric, rows, dataset, row, precision)) is not None
        ]
        for name, chosen in sheets.items()
    }
    paths = []
    for name, own in samples.items():
        if own:
            draw_sheet(own, folder / f"{name}.png", title)
            paths.append(folder / f"{name}.png")
    in_video = 2 * IN_VIDEO // len(samples)
    clips = [annotated(sample) for own in samples.values() for sample in own[:in_video]]
    if clips:
        write_grid(clips, folder / "boxes.mp4", columns=3)
        paths.append(folder / "boxes.mp4")
    return paths


def surest(metric: AVAMeanAP, rows: Mapping[str, np.ndarray], count: int) -> list[int]:
    """The key frames with the highest scores, those of one video after the best of all others."""
    columns = [metric.records.columns[action] for action in metric.actions.tolist()]
    order = np.argsort(-rows["scores"][:, columns].max(axis=1, initial=0.0), kind="stable")
    taken: Counter[int] = Counter()
    places: dict[
        int, tuple[int, int]
    ] = {}  # a key frame -> how many of its video are better, and how many of all
    for row in dict.fromkeys(rows["index"][order].tolist()):
        video = int(metric.records.video[row])
        places[row] = (taken[video], len(places))
        taken[video] += 1
    return sorted(places, key=places.__getitem__)[:count]


def extremes(
    precisions: np.ndarray, count: int
) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """(row, value) of the highest and of the lowest values; no row is in both lists.

    Of equal values those are taken that are spread over the list. NaN is left out.
    """
    defined = np.flatnonzero(~np.isnan(precisions))
    # Equal values then come in an order that does not depend on the list, and is always the same.
    defined = np.random.default_rng(0).permutation(defined)
    order = defined[np.argsort(-precisions[defined], kind="stable")].tolist()
    num_best = min(count, (len(order) + 1) // 2)
    best, worst = order[:num_best], order[num_best:][::-1][:count]
    return (
        [(row, float(precisions[row])) for row in best],
        [(row, float(precisions[row])) for row in worst],
    )


def load_sample(
    metric: AVAMeanAP,
    rows: Mapping[str, np.ndarray],
    dataset: Samples,
    row: int,
    precision: float,
) -> KeyFrameSample | None:
    """Key frame `row` as its first view shows it; None if the video cannot be read."""
    item = dataset[row]
    if "video" not in item:
        return None
    columns = [metric.records.columns[action] for action in metric.actions.tolist()]
    names = [clipped(metric.records.classes[k], LETTERS) for k in metric.actions.tolist()]
    is_annotated = len(metric.records[row].boxes) > 0
    # Else the sample has its proposals in place of true boxes.
    gt_boxes, gt_labels = item["gt_boxes"], item["gt_labels"][:, columns].astype(bool)
    own = rows["index"] == row
    scores = rows["scores"][own][:, columns]
    met = np.zeros_like(gt_labels)  # the true actions that were found
    found = []
    for box, number in _in_first_view(item, rows["boxes"][own]):
        near = np.flatnonzero(box_iou(box, gt_boxes) >= metric.iou_threshold)
        best = np.argsort(-scores[number], kind="stable")[:MOST_LABELS].tolist()
        shown = [k for k in best if scores[number, k] >= MIN_SCORE]
        met[near[:, None], shown] = True
        correct = gt_labels[near].max(axis=0, initial=False)
        colours = np.where(correct, 1, 0) if is_annotated else np.full(len(names), 2)
        labels = [
            (f"{names[k]} {scores[number, k]:.2f}", (WRONG, CORRECT, UNKNOWN)[colours[k]])
            for k in shown
        ]
        found.append((scores[number].max(initial=0.0), LabelledBox(tuple(box.tolist()), labels)))
    found = sorted(found, key=lambda pair: -pair[0])[:MOST_BOXES]
    dashed = [
        LabelledBox(tuple(box.tolist()), [(names[k], MISSED) for k in np.flatnonzero(missed)], True)
        for box, missed in zip(gt_boxes, gt_labels & ~met, strict=True)
        if is_annotated
    ]
    title = metric.records.name(row) + f", AP {precision:.2f}" * is_annotated
    return KeyFrameSample(title, item["video"][0, 0], [box for _, box in found] + dashed)


def _in_first_view(
    item: Mapping[str, np.ndarray], boxes: np.ndarray
) -> list[tuple[np.ndarray, int]]:
    """Boxes (P, 4) of a key frame, normalised to [0, 1], in pixels of its first view.

    Each with its number; those outside the view are left out.
    """
    shown = np.flatnonzero(item["box_view"] == 0)
    proposals = item["proposals"][item["box_proposal"][shown]]
    same = (boxes[:, None] == proposals[None]).all(axis=2)
    return [
        (item["boxes"][shown[same[i].argmax()]], i)
        for i in np.flatnonzero(same.any(axis=1)).tolist()
    ]


def annotated(sample: KeyFrameSample) -> np.ndarray:
    """The frames with their boxes below the title, (T, BAR + HEIGHT, W, 3) uint8, W even."""
    height, width = sample.frames.shape[1:3]
    scale = HEIGHT / height
    inner = (max(2 * round(scale * width / 2), 2), HEIGHT)
    layer = Image.new("RGBA", (max(inner[0], LEAST_WIDTH), HEIGHT))
    draw_labelled_boxes(ImageDraw.Draw(layer), sample.boxes, scale, layer.size)
    picture = Image.new("RGB", (layer.width, BAR + HEIGHT), DARK)
    title = clipped(sample.title, picture.width // 8)
    ImageDraw.Draw(picture).text((4, 3), title, PLAIN, font_for(title, 12))
    pictures = []
    for frame in sample.frames:
        colours = frame if frame.shape[-1] == 3 else np.repeat(frame[..., :1], 3, axis=-1)
        shown = Image.fromarray(np.ascontiguousarray(colours))
        picture.paste(shown.resize(inner, Image.Resampling.BICUBIC), (0, BAR))
        picture.paste(DARK, (inner[0], BAR, *picture.size))
        picture.paste(layer, (0, BAR), layer)
        pictures.append(np.asarray(picture))
    return np.stack(pictures)


def draw_sheet(
    samples: list[KeyFrameSample], path: Path, title: str = "", columns: int = 3
) -> None:
    """Write the key frames side by side, each the middle of its clip, above legend and title."""
    frames = []
    for sample in samples:
        middle = len(sample.frames) // 2
        key_frame = KeyFrameSample(sample.title, sample.frames[middle : middle + 1], sample.boxes)
        frames.append(annotated(key_frame)[0])
    columns = min(columns, len(frames))
    num_rows = -(-len(frames) // columns)
    height, width = frames[0].shape[0] + 4, max(frame.shape[1] for frame in frames) + 4
    sheet = Image.new("RGB", (columns * width, num_rows * height + 2 * BAR), DARK)
    for number, frame in enumerate(frames):
        row, column = divmod(number, columns)
        sheet.paste(Image.fromarray(frame), (column * width, row * height))
    has_truth = any(box.dashed for sample in samples for box in sample.boxes)
    _draw_legend(ImageDraw.Draw(sheet), num_rows * height + 3, has_truth)
    title = clipped(title, sheet.width // 7)
    place = (4, num_rows * height + BAR + 3)
    ImageDraw.Draw(sheet).text(place, title, PLAIN, font_for(title, 11))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _draw_legend(draw: ImageDraw.ImageDraw, top: int, has_truth: bool) -> None:
    left = 4
    judged = (("right", CORRECT), ("wrong", WRONG), ("missed (dashed: true box)", MISSED))
    for text, colour in (
        *(judged if has_truth else [("detected (no ground truth)", UNKNOWN)]),
        (f"no action above {MIN_SCORE}", PLAIN),
    ):
        font = font_for(text, 11)
        draw.text((left, top), text, colour, font)
        left += int(draw.textlength(text, font)) + 14
