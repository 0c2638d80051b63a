"""Key frames with the actions found in them: those nearest to the truth and farthest from it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vidrec.metrics.ava_map import AVAMeanAP
from vidrec.ops.box_iou import box_iou
from vidrec.plots.prediction_video import write_grid

HEIGHT = 288  # of a frame, pixels
BAR = 22  # above it, for a line of text
LEAST_WIDTH = 224  # of a frame with the margin at its right
LINE = 15  # of text in a frame
LETTERS = 24  # of an action's name
SHOWN = 0.3  # least score of an action that is drawn
MOST_LABELS, MOST_BOXES = 3, 8  # of a box, of a key frame
_RIGHT, _WRONG, _MISSED, _PLAIN = (90, 225, 120), (255, 120, 105), (255, 214, 90), (200, 206, 212)
_DARK = (16, 18, 20)

Box = tuple[float, float, float, float]


@dataclass
class Person:
    """A box and what is said about it."""

    box: Box  # x1, y1, x2, y2 in pixels of the frames
    labels: list[tuple[str, tuple[int, int, int]]]  # text and colour
    dashed: bool = False  # a true box


@dataclass
class KeyFrameSample:
    """A clip with the boxes found at its key frame."""

    title: str
    frames: np.ndarray  # (T, H, W, C) uint8
    persons: list[Person]


def draw_boxes(
    metric: AVAMeanAP, rows: dict[str, np.ndarray], dataset: Any, folder: Path, count: int = 6
) -> list[Path]:
    """Write best.png, worst.png and boxes.mp4, which shows three of each; returns their paths.

    Found boxes are solid: an action is green where the truth has it and red where not. True boxes
    are dashed, with the actions that were missed in yellow. Actions below a score of 0.3 are not
    shown.

    rows: of the metric. dataset: whose records the metric has. count: key frames on a sheet. Raises
    ValueError where no key frame has a true box.
    """
    best, worst = extremes(metric.frame_precisions(rows), count)
    if not best:
        raise ValueError("no key frame has a true box of a class that is evaluated: none is drawn")
    samples = {
        name: [
            sample
            for row, precision in chosen
            if (sample := load_sample(metric, rows, dataset, row, precision)) is not None
        ]
        for name, chosen in (("best", best), ("worst", worst))
    }
    paths = []
    for name, own in samples.items():
        if own:
            write_sheet(own, folder / f"{name}.png")
            paths.append(folder / f"{name}.png")
    clips = [annotated(sample) for own in samples.values() for sample in own[:3]]
    if clips:
        write_grid(clips, folder / "boxes.mp4", columns=3)
        paths.append(folder / "boxes.mp4")
    return paths


def extremes(
    precisions: np.ndarray, count: int
) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """Rows with the highest and with the lowest value, none in both; (row, value) each.

    Of equal values those are taken that are spread over the list. NaN is left out.
    """
    defined = np.flatnonzero(~np.isnan(precisions))
    # An order that has nothing to do with the list, and is always the same.
    defined = np.random.default_rng(0).permutation(defined)
    order = defined[np.argsort(-precisions[defined], kind="stable")].tolist()
    num_best = min(count, (len(order) + 1) // 2)
    best, worst = order[:num_best], order[num_best:][::-1][:count]
    return (
        [(row, float(precisions[row])) for row in best],
        [(row, float(precisions[row])) for row in worst],
    )


def load_sample(
    metric: AVAMeanAP, rows: dict[str, np.ndarray], dataset: Any, row: int, precision: float
) -> KeyFrameSample | None:
    """Key frame `row` as its first view shows it; None where the video cannot be read."""
    item = dataset[row]
    if "video" not in item:
        return None
    columns = [metric.records.columns[action] for action in metric.actions.tolist()]
    names = [_short(metric.records.classes[action]) for action in metric.actions.tolist()]
    truth = item["gt_boxes"]
    true_labels = item["gt_labels"][:, columns].astype(bool)
    own = rows["index"] == row
    scores = rows["scores"][own][:, columns]
    met = np.zeros_like(true_labels)
    persons = []
    for box, found in _in_view(item, rows["boxes"][own]):
        near = np.flatnonzero(box_iou(box, truth) >= metric.iou_threshold)
        shown = [
            k
            for k in np.argsort(-scores[found], kind="stable")[:MOST_LABELS].tolist()
            if scores[found, k] >= SHOWN
        ]
        met[near[:, None], shown] = True
        right = true_labels[near].any(axis=0)
        labels = [
            (f"{names[k]} {scores[found, k]:.2f}", _RIGHT if right[k] else _WRONG) for k in shown
        ]
        strength = float(scores[found].max(initial=0.0))
        persons.append((strength, Person(tuple(box.tolist()), labels)))
    persons = sorted(persons, key=lambda pair: -pair[0])[:MOST_BOXES]
    missed = true_labels & ~met
    return KeyFrameSample(
        f"{metric.records.name(row)}   AP {100 * precision:.0f} %",
        item["video"][0, 0],
        [person for _, person in persons]
        + [
            Person(tuple(box.tolist()), [(names[k], _MISSED) for k in np.flatnonzero(own)], True)
            for box, own in zip(truth, missed, strict=True)
        ],
    )


def _in_view(item: dict[str, Any], boxes: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """Boxes (P, 4) of a key frame, shares of the frame, in pixels of its first view.

    Each with its row; those that the view does not show are left out.
    """
    shown = np.flatnonzero(item["box_view"] == 0)
    proposals = item["proposals"][item["box_proposal"][shown]]
    same = (boxes[:, None] == proposals[None]).all(axis=2)
    return [
        (item["boxes"][shown[same[i].argmax()]], i)
        for i in np.flatnonzero(same.any(axis=1)).tolist()
    ]


def _short(name: str) -> str:
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def annotated(sample: KeyFrameSample) -> np.ndarray:
    """(T, BAR + HEIGHT, W, 3) uint8: the frames with the boxes and what is said, W even."""
    height, width = sample.frames.shape[1:3]
    scale = HEIGHT / height
    inner = (max(2 * round(scale * width / 2), 2), HEIGHT)
    layer = Image.new("RGBA", (max(inner[0], LEAST_WIDTH), HEIGHT))
    draw_persons(ImageDraw.Draw(layer), sample.persons, scale, layer.size)
    picture = Image.new("RGB", (layer.width, BAR + HEIGHT), _DARK)
    ImageDraw.Draw(picture).text((4, 3), sample.title, _PLAIN, ImageFont.load_default(size=13))
    pictures = []
    for frame in sample.frames:
        colours = frame if frame.shape[-1] == 3 else np.repeat(frame[..., :1], 3, axis=-1)
        shown = Image.fromarray(np.ascontiguousarray(colours))
        picture.paste(shown.resize(inner, Image.Resampling.BICUBIC), (0, BAR))
        picture.paste(_DARK, (inner[0], BAR, *picture.size))
        picture.paste(layer, (0, BAR), layer)
        pictures.append(np.asarray(picture))
    return np.stack(pictures)


def draw_persons(
    draw: ImageDraw.ImageDraw, persons: list[Person], scale: float, size: tuple[int, int]
) -> None:
    """Boxes and labels on a layer of `size`; no label hides another where there is room."""
    font = ImageFont.load_default(size=12)
    edges = {id(person): [round(scale * value) for value in person.box] for person in persons}
    for person in persons:
        colours = {colour for _, colour in person.labels}
        if person.dashed:
            _dashed(draw, edges[id(person)], _MISSED if person.labels else _PLAIN)
        else:
            colour = _PLAIN if not colours else _WRONG if _WRONG in colours else _RIGHT
            draw.rectangle(edges[id(person)], outline=colour, width=2)
    taken: list[list[int]] = []
    for person in persons:
        if not person.labels:
            continue
        width = max(int(draw.textlength(text, font)) for text, _ in person.labels) + 6
        height = LINE * len(person.labels) + 2
        left, top = _place(edges[id(person)], width, height, size, taken, below=person.dashed)
        taken.append([left, top, left + width, top + height])
        draw.rectangle(taken[-1], fill=(*_DARK, 190))
        for number, (text, colour) in enumerate(person.labels):
            draw.text((left + 3, top + 1 + LINE * number), text, colour, font)


def _place(
    box: list[int],
    width: int,
    height: int,
    size: tuple[int, int],
    taken: list[list[int]],
    below: bool,
) -> tuple[int, int]:
    """Left and top of a label: at its box, where it covers as little of the others as it can."""
    x1, y1, x2, y2 = box
    lefts = (x1, x2 - width, (x1 + x2 - width) // 2)
    tops = [y2 + 1, y2 - height, y1 - height, y1] if below else [y1 - height, y1, y2 + 1]
    tops += range(0, size[1] - height, LINE)  # in the last resort anywhere above or below
    places = [
        (min(max(left, 0), max(size[0] - width, 0)), min(max(top, 0), max(size[1] - height, 0)))
        for top in tops
        for left in lefts
    ]
    return min(
        places, key=lambda place: sum(_shared(place, width, height, other) for other in taken)
    )


def _shared(place: tuple[int, int], width: int, height: int, other: list[int]) -> int:
    across = min(place[0] + width, other[2]) - max(place[0], other[0])
    down = min(place[1] + height, other[3]) - max(place[1], other[1])
    return max(across, 0) * max(down, 0)


def _dashed(draw: ImageDraw.ImageDraw, box: list[int], colour: tuple[int, int, int]) -> None:
    x1, y1, x2, y2 = box
    for x in range(x1, x2, 8):
        for y in (y1, y2):
            draw.line((x, y, min(x + 4, x2), y), colour)
    for y in range(y1, y2, 8):
        for x in (x1, x2):
            draw.line((x, y, x, min(y + 4, y2)), colour)


def write_sheet(samples: list[KeyFrameSample], picture: Path, columns: int = 3) -> None:
    """The key frames side by side, each the middle of its clip, above a line that explains it."""
    frames = []
    for sample in samples:
        middle = len(sample.frames) // 2
        key_frame = KeyFrameSample(sample.title, sample.frames[middle : middle + 1], sample.persons)
        frames.append(annotated(key_frame)[0])
    columns = min(columns, len(frames))
    num_rows = -(-len(frames) // columns)
    height, width = frames[0].shape[0] + 4, max(frame.shape[1] for frame in frames) + 4
    sheet = Image.new("RGB", (columns * width, num_rows * height + BAR), _DARK)
    for number, frame in enumerate(frames):
        row, column = divmod(number, columns)
        sheet.paste(Image.fromarray(frame), (column * width, row * height))
    _explain(ImageDraw.Draw(sheet), num_rows * height + 3)
    picture.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(picture)


def _explain(draw: ImageDraw.ImageDraw, top: int) -> None:
    font = ImageFont.load_default(size=12)
    left = 4
    for text, colour in (
        ("right", _RIGHT),
        ("wrong", _WRONG),
        ("missed (dashed: true box)", _MISSED),
        (f"no action above {SHOWN}", _PLAIN),
    ):
        draw.text((left, top), text, colour, font)
        left += int(draw.textlength(text, font)) + 14
