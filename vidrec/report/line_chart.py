"""Line charts as inline SVG, in the colours of the page: in dark mode they are dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 420, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 30
MOST_POINTS = 400  # of a line; more are averaged, for the size of the page
COLOURS = 6  # classes c0 to c5 of the page's style; further lines are dashed


@dataclass(frozen=True)
class Line:
    """Points of one quantity; colour: its number, the same for lines that belong together."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0
    dashed: bool = False
    dots: bool = False


def line_chart(title: str, lines: Sequence[Line], x_label: str, mark: float | None = None) -> str:
    """A figure with the lines and a legend; empty if no line has a point.

    mark: where a vertical line shows the best epoch.
    """
    lines = [thinned(line) for line in lines if len(line.x)]
    if not lines:
        return ""
    x_low, x_high = _range([x for line in lines for x in line.x], False)
    y_low, y_high = _range([y for line in lines for y in line.y], True)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        up = (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
        return round(LEFT + across, 1), round(HEIGHT - BOTTOM - up, 1)

    parts = []
    for value in ticks(y_low, y_high):
        y = place(x_low, value)[1]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{y + 3.5}" text-anchor="end">{number(value)}</text>')
    for value in ticks(x_low, x_high, whole=True):
        x = place(value, y_low)[0]
        y = HEIGHT - BOTTOM + 16
        parts.append(f'<text x="{x}" y="{y}" text-anchor="middle">{number(value)}</text>')
    if mark is not None and x_low <= mark <= x_high:
        x = place(mark, y_low)[0]
        parts.append(f'<line class="mark" x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    for line in lines:
        points = [place(x, y) for x, y in zip(line.x, line.y, strict=True)]
        style = f"c{line.colour % COLOURS}" + " dashed" * line.dashed
        path = " ".join(f"{x},{y}" for x, y in points)
        if len(points) > 1:
            parts.append(f'<polyline class="line {style}" points="{path}"/>')
        if line.dots or len(points) == 1:
            parts += [f'<circle class="{style}" cx="{x}" cy="{y}" r="2.6"/>' for x, y in points]
    label = f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 1}" text-anchor="end">{escape(x_label)}</text>'
    said = escape(f"{title} over {x_label}: " + "; ".join(map(_in_words, lines)), quote=True)
    svg = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}">'
        f"{''.join(parts)}{label}</svg>"
    )
    return f"<figure><figcaption>{escape(title)}</figcaption>{svg}{_legend(lines)}</figure>"


def _legend(lines: Sequence[Line]) -> str:
    items = "".join(
        f'<li class="c{line.colour % COLOURS}{" dashed" * line.dashed}">{escape(line.name)}</li>'
        for line in lines
    )
    return f'<ul class="legend">{items}</ul>'


def _in_words(line: Line) -> str:
    return f"{line.name} from {number(line.y[0])} to {number(line.y[-1])}"


def thinned(line: Line) -> Line:
    """At most MOST_POINTS points, each the mean of those that it stands for."""
    step = math.ceil(len(line.x) / MOST_POINTS)
    if step <= 1:
        return line

    def means(values: Sequence[float]) -> list[float]:
        parts = (values[i : i + step] for i in range(0, len(values), step))
        return [sum(part) / len(part) for part in parts]

    return Line(line.name, means(line.x), means(line.y), line.colour, line.dashed, False)


def _range(values: Sequence[float], is_padded: bool) -> tuple[float, float]:
    """Lowest and highest value, apart from each other; padded for values, not for epochs."""
    low, high = min(values), max(values)
    if low == high:
        return low - (abs(low) * 0.1 or 0.5), high + (abs(high) * 0.1 or 0.5)
    pad = (high - low) * 0.06 if is_padded else 0.0
    below = 0.0 if is_padded and 0 <= low < 0.3 * high else low - pad
    return below, 1.0 if is_padded and 0.7 < high <= 1.0 and below >= 0 else high + pad


def ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """About four round numbers in a range.

    >>> ticks(0, 1), ticks(1, 8, whole=True)
    ([0.0, 0.25, 0.5, 0.75, 1.0], [2, 4, 6, 8])
    """
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= rough * 0.999)
    if whole:
        step = max(math.ceil(step), 1)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """A number for an axis.

    >>> number(0.25), number(3.0), number(1.2e-5), number(20000.0)
    ('0.25', '3', '1.2e-05', '20,000')
    """
    if value and abs(value) < 1e-3:
        return f"{value:.3g}"
    if abs(value) >= 1e4:
        return f"{value:,.0f}"
    return f"{value:.4g}"
