"""Panels over the frames of a video: classes with their scores, and segments with the position."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageColor, ImageDraw

from vidrec.plots.labelled_boxes import DARK, PLAIN, Colour
from vidrec.plots.lettering import drawable, font_for
from vidrec.plots.style import COLOURS

LEAST_FONT, MOST_FONT = 11, 34  # pixels
PALETTE: tuple[Colour, ...] = tuple(ImageColor.getrgb(colour)[:3] for colour in COLOURS)
_VEIL = 176  # opacity of panels, of 255
_GROOVE = (52, 57, 62)  # of an empty bar
_SHARE = 0.6  # of the width of a frame that a panel may take


@dataclass(frozen=True)
class ScoreRow:
    """A line of a panel; filled: how much of the bar behind it is, in [0, 1]."""

    name: str
    score: float
    filled: float
    colour: Colour = PALETTE[0]


@dataclass(frozen=True)
class Bar:
    """A segment on a bar along the bottom; start and end are fractions of the video."""

    start: float
    end: float
    lane: int
    colour: Colour


def font_size(size: tuple[int, int]) -> int:
    """Pixels of text on frames of (width, height)."""
    return min(max(round(min(size) / 25), LEAST_FONT), MOST_FONT)


def fitted(text: str, size: int, width: float) -> str:
    """A `drawable` text that is at most `width` pixels wide, its end cut off if need be."""
    text = drawable(text)
    font = font_for(text, size)
    if font.getlength(text) <= width:
        return text
    fits, most = 0, len(text)  # letters
    while fits < most:
        middle = (fits + most + 1) // 2
        short = text[:middle].rstrip() + "…"
        fits, most = (middle, most) if font.getlength(short) <= width else (fits, middle - 1)
    return text[:fits].rstrip() + "…" if fits else ""


def score_panel(rows: Sequence[ScoreRow], size: tuple[int, int], title: str = "") -> Image.Image:
    """A translucent panel of names with scores over bars, for frames of (width, height).

    title: a line above the rows.
    """
    letters = font_size(size)
    line, edge = round(1.55 * letters), round(0.45 * letters)
    lines = [title] * bool(title) + [f"{row.name}  {row.score:.2f}" for row in rows]
    lines = [drawable(text) for text in lines]
    longest = max((font_for(text, letters).getlength(text) for text in lines), default=0)
    width = round(min(max(longest + 4 * edge, 11 * letters), _SHARE * size[0]))
    width = max(width, 2 * edge + 1)
    panel = Image.new("RGBA", (width, len(lines) * line + 2 * edge))
    draw = ImageDraw.Draw(panel)
    draw.rounded_rectangle((0, 0, width - 1, panel.height - 1), edge, (*DARK, _VEIL))
    top = edge
    if title:
        text = fitted(title, letters, width - 2 * edge)
        draw.text((edge, top), text, PLAIN, font_for(text, letters))
        top += line
    for row in rows:
        _draw_row(draw, row, (edge, top, width - edge, top + line - 2), letters)
        top += line
    return panel


def _draw_row(
    draw: ImageDraw.ImageDraw, row: ScoreRow, box: tuple[int, int, int, int], letters: int
) -> None:
    left, top, right, bottom = box
    filled = left + round((right - left - 1) * min(max(row.filled, 0.0), 1.0))
    draw.rectangle((left, top, right - 1, bottom - 1), (*_GROOVE, _VEIL))
    if filled > left:
        draw.rectangle((left, top, filled, bottom - 1), (*row.colour, 225))
    pad = max(letters // 4, 2)
    number = f"{row.score:.2f}"
    font = font_for(number, letters)
    place = right - pad - font.getlength(number)
    middle = (top + bottom) / 2
    draw.text((place, middle), number, "white", font, anchor="lm")
    name = fitted(row.name, letters, place - left - 3 * pad)
    draw.text((left + pad, middle), name, "white", font_for(name, letters), anchor="lm")


def bar_height(lanes: int, size: tuple[int, int]) -> int:
    """Pixels of the bar along the bottom of frames of (width, height)."""
    lane = max(round(0.8 * font_size(size)), 4)
    return (lane + 3) * max(lanes, 1) + 8


def segment_bar(bars: Sequence[Bar], size: tuple[int, int]) -> Image.Image:
    """A translucent track with the segments of a video, as wide as the frames."""
    lanes = 1 + max((bar.lane for bar in bars), default=0)
    height = bar_height(lanes, size)
    track = Image.new("RGBA", (size[0], height), (*DARK, _VEIL))
    draw = ImageDraw.Draw(track)
    lane = (height - 8) // lanes - 3
    for bar in bars:
        top = 5 + bar.lane * (lane + 3)
        left, right = round(bar.start * size[0]), round(bar.end * size[0]) - 1
        draw.rectangle((left, top, max(right, left + 1), top + lane - 1), (*bar.colour, 240))
    return track


def draw_position(
    draw: ImageDraw.ImageDraw, fraction: float, height: int, size: tuple[int, int]
) -> None:
    """A line through the bar at the bottom where the video is now."""
    x = min(round(fraction * size[0]), size[0] - 1)
    draw.rectangle((x - 1, size[1] - height, x + 1, size[1]), "white")
