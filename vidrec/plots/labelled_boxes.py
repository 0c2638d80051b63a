"""Boxes with lines of text on a frame; the texts keep out of each other's way."""

from dataclasses import dataclass

from PIL import ImageDraw

from vidrec.plots.lettering import font_for

Colour = tuple[int, int, int]

LETTERS = 11  # pixels of text
STEP = 15  # pixels from one place for a label to the next
CORRECT, WRONG, MISSED, PLAIN = (90, 225, 120), (255, 120, 105), (255, 214, 90), (200, 206, 212)
UNKNOWN = (130, 195, 255)  # an action where there is no ground truth
DARK = (16, 18, 20)


@dataclass
class LabelledBox:
    """A box and the text beside it."""

    box: tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels of the frames
    labels: list[tuple[str, Colour]]  # a line each
    dashed: bool = False  # a true box


def draw_labelled_boxes(
    draw: ImageDraw.ImageDraw,
    boxes: list[LabelledBox],
    scale: float,
    size: tuple[int, int],
    letters: int = LETTERS,
) -> None:
    """Draw boxes and labels on a layer; no label hides another if there is room.

    scale: pixels of the layer per pixel of the boxes. size: width and height of the layer.
    letters: size of the text in pixels.
    """
    line, thick = round(1.36 * letters), max(round(letters / 5), 2)
    scaled = [[round(scale * value) for value in one.box] for one in boxes]
    for one, corners in zip(boxes, scaled, strict=True):
        if one.dashed:
            _draw_dashed(draw, corners, MISSED if one.labels else PLAIN)
        else:
            draw.rectangle(corners, outline=_outline(one), width=thick)
    taken: list[list[int]] = []
    for one, corners in zip(boxes, scaled, strict=True):
        if not one.labels:
            continue
        lengths = (draw.textlength(text, font_for(text, letters)) for text, _ in one.labels)
        width, height = int(max(lengths)) + 6, line * len(one.labels) + 2
        left, top = _place((width, height), corners, size, taken, below=one.dashed)
        taken.append([left, top, left + width, top + height])
        draw.rectangle(taken[-1], fill=(*DARK, 190))
        for number, (text, colour) in enumerate(one.labels):
            place = left + 3, top + 1 + line * number
            draw.text(place, text, colour, font_for(text, letters))


def _outline(one: LabelledBox) -> Colour:
    colours = {colour for _, colour in one.labels}
    return next(
        (colour for colour in (WRONG, UNKNOWN) if colour in colours), CORRECT if colours else PLAIN
    )


def _place(
    label: tuple[int, int],
    box: list[int],
    size: tuple[int, int],
    taken: list[list[int]],
    below: bool,
) -> tuple[int, int]:
    """Left and top of a label of (width, height): near its box, covering as few others as it can.

    size: of the layer. taken: other labels, x1, y1, x2, y2. below: below the box rather than above.
    """
    width, height = label
    x1, y1, x2, y2 = box
    lefts = (x1, x2 - width, (x1 + x2 - width) // 2)
    tops = [y2 + 1, y2 - height, y1 - height, y1] if below else [y1 - height, y1, y2 + 1]
    tops += range(0, size[1] - height, STEP)  # as a last resort anywhere above or below
    places = [
        (min(max(left, 0), max(size[0] - width, 0)), min(max(top, 0), max(size[1] - height, 0)))
        for top in tops
        for left in lefts
    ]
    return min(places, key=lambda place: sum(_covered(place, label, other) for other in taken))


def _covered(place: tuple[int, int], label: tuple[int, int], other: list[int]) -> int:
    """Pixels of another label that one at `place` would cover."""
    across = min(place[0] + label[0], other[2]) - max(place[0], other[0])
    down = min(place[1] + label[1], other[3]) - max(place[1], other[1])
    return max(across, 0) * max(down, 0)


def _draw_dashed(draw: ImageDraw.ImageDraw, box: list[int], colour: Colour) -> None:
    x1, y1, x2, y2 = box
    for x in range(x1, x2, 8):
        for y in (y1, y2):
            draw.line((x, y, min(x + 4, x2), y), colour)
    for y in range(y1, y2, 8):
        for x in (x1, x2):
            draw.line((x, y, x, min(y + 4, y2)), colour)
