"""A prediction over the time of its video, as one figure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vidrec.inference.box_tracks import BoxTracks
from vidrec.inference.drawing import UNNAMED
from vidrec.inference.result import Result, ScoredClass, Segment
from vidrec.plots.style import (
    BLUE,
    COLOURS,
    GREY,
    GRID,
    LINE,
    TEXT,
    add_legend,
    new_figure,
    open_frame,
    save_figure,
    shorten,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 8.0  # inches of the axes
ROW, CURVES = 0.32, 2.4  # inches of a row, and of the curves of scores
MOST_CLASSES = 6  # curves
MOST_ROWS = 12  # of actions or classes
LETTERS = 34  # of a name beside the axes
LETTERS_PER_INCH = 13  # of names on bars
MINUTES = 120.0  # seconds from which on times are written as m:ss
STEPS = (15, 30, 60, 120, 300, 600, 900, 1800, 3600)  # seconds between such times
EMPTY = {"detection": "no person was found", "localization": "no segment was found"}


@dataclass
class Row:
    """A name with the stretches of time that it is true for: (start, end, score)."""

    name: str
    spans: list[tuple[float, float, float]] = field(default_factory=list)

    @property
    def best(self) -> float:
        """The highest score."""
        return max(score for _, _, score in self.spans)


def draw_timeline(prediction: Result, path: Path) -> None:
    """Write a PNG of what was predicted, over time.

    Recognition: the scores of the best classes, below them the best class of each part; bars if
    only the whole video has scores. Detection: when each action was seen, the darker the higher its
    score. Localization: the segments of each class.
    """
    if prediction.task == "recognition":
        figure = _curves(prediction) if prediction.timeline else _bars(prediction.topk)
    else:
        rows = _actions(prediction) if prediction.task == "detection" else _classes(prediction)
        figure = _rows(rows, end_of(prediction), EMPTY[prediction.task])
    axes = figure.axes[0]
    axes.set_title(shorten(Path(prediction.video).name, 70) + "\n", fontsize=11, loc="left")
    about = shorten(f"{Path(prediction.model).name}, {prediction.protocol}", 120)
    axes.annotate(
        about, (0, 1), (0, 5), "axes fraction", textcoords="offset points", fontsize=8, color=GREY
    )
    save_figure(figure, path)


def end_of(prediction: Result) -> float:
    """The second at which the axis ends."""
    ends = [
        prediction.duration or 0.0,
        *(moment.end for moment in prediction.timeline),
        *(segment.end for segment in prediction.segments),
        *(frame.time for frame in prediction.key_frames),
    ]
    return max(ends) or 1.0


def _axes(figure: "Figure", bottom: float, height: float) -> "Axes":
    """Axes as wide as the figure; bottom and height in inches."""
    total = figure.get_figheight()
    return figure.add_axes((0, bottom / total, 1, height / total))


def _time_axis(axes: "Axes", end: float) -> None:
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    axes.set_xlim(0, end)
    axes.tick_params(labelsize=8, color=LINE)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    open_frame(axes)
    if end < MINUTES:
        axes.set_xlabel("seconds", fontsize=8, color=TEXT)
        return
    clock = FuncFormatter(lambda second, _: f"{int(second) // 60}:{int(second) % 60:02d}")
    axes.xaxis.set_major_formatter(clock)
    step = next((step for step in STEPS if end / step <= 10), STEPS[-1] * math.ceil(end / 36_000))
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.set_xlabel("minutes:seconds", fontsize=8, color=TEXT)


def _bars(best: Sequence[ScoredClass]) -> "Figure":
    """The scores of a whole video."""
    figure = new_figure(WIDTH / 2, max(len(best), 1) * ROW + 0.1)
    axes = _axes(figure, 0, figure.get_figheight())
    names = [shorten(each.name, LETTERS) for each in best]
    places = range(len(best), 0, -1)
    axes.barh(places, [each.score for each in best], height=0.66, color=BLUE)
    axes.set_yticks(list(places), names, fontsize=9, color=TEXT)
    for place, each in zip(places, best, strict=True):
        axes.annotate(
            f"{each.score:.3f}", (max(each.score, 0.0), place), (4, 0),
            textcoords="offset points", va="center", fontsize=8, color=GREY,
        )  # fmt: skip
    if all(0 <= each.score <= 1 for each in best):
        axes.set_xlim(0, 1)
    axes.tick_params(labelsize=8, color=LINE)
    axes.tick_params(axis="y", labelsize=9, length=0)
    open_frame(axes)
    return figure


def _curves(prediction: Result) -> "Figure":
    """Scores over time, and below them a ribbon of the best class of each part."""
    figure = new_figure(WIDTH, CURVES + 2 * ROW)
    upper = _axes(figure, 2 * ROW, CURVES)
    ribbon = _axes(figure, 0, ROW)
    end = end_of(prediction)
    names = best_names(prediction)
    colours = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(names)}
    for name in names:
        x, y = steps(prediction, name)
        upper.plot(x, y, color=colours[name], linewidth=1.8, label=shorten(name, LETTERS))
    _time_axis(upper, end)
    upper.set_xlabel("")
    upper.tick_params(labelbottom=False)
    upper.set_ylabel("score", fontsize=8, color=TEXT)
    scores = [each.score for moment in prediction.timeline for each in moment.topk]
    if all(0 <= score <= 1 for score in scores):
        upper.set_ylim(0, 1.03)
    add_legend(upper)
    for row in best_runs(prediction):
        for start, stop, _ in row.spans:
            colour = colours.get(row.name, LINE)
            ribbon.broken_barh(
                [(start, stop - start)], (-0.5, 1), facecolors=colour, edgecolors="white"
            )
            room = int((stop - start) / end * WIDTH * LETTERS_PER_INCH) - 1
            if room >= min(len(row.name), 6):
                ribbon.text(
                    (start + stop) / 2, 0, shorten(row.name, room), ha="center", va="center",
                    fontsize=7.5, color="white",
                )  # fmt: skip
    _time_axis(ribbon, end)
    ribbon.set_yticks([0], ["best"], fontsize=8, color=TEXT)
    ribbon.spines["left"].set_visible(False)
    return figure


def best_names(prediction: Result) -> list[str]:
    """The classes whose highest score in any part is highest."""
    highest: dict[str, float] = {}
    for moment in prediction.timeline:
        for each in moment.topk:
            highest[each.name] = max(each.score, highest.get(each.name, -math.inf))
    return sorted(highest, key=lambda name: -highest[name])[:MOST_CLASSES]


def steps(prediction: Result, name: str) -> tuple[list[float], list[float]]:
    """A curve that is level in each part, with gaps where the class is not among the best."""
    x, y = [], []
    for moment in prediction.timeline:
        score = next((each.score for each in moment.topk if each.name == name), math.nan)
        x += [moment.start, moment.end]
        y += [score, score]
    return x, y


def best_runs(prediction: Result) -> list[Row]:
    """The best class of one part after the other; equal ones that touch are one."""
    runs: list[Row] = []
    for moment in prediction.timeline:
        if not moment.topk:
            continue
        best = moment.topk[0]
        if runs and runs[-1].name == best.name and moment.start <= runs[-1].spans[0][1] + 1e-6:
            start, _, score = runs[-1].spans[0]
            runs[-1].spans[0] = start, moment.end, max(score, best.score)
        else:
            runs.append(Row(best.name, [(moment.start, moment.end, best.score)]))
    return runs


def _actions(prediction: Result) -> list[Row]:
    """When each action was seen: half an interval around its key frames, its best score there."""
    half = BoxTracks(prediction.key_frames).interval / 2
    rows: dict[str, Row] = {}
    for frame in prediction.key_frames:
        scores: dict[str, float] = {}
        for person in frame.persons:
            for action in person.actions:
                scores[action.name] = max(action.score, scores.get(action.name, -math.inf))
        for name, score in scores.items():
            span = max(frame.time - half, 0.0), frame.time + half, score
            rows.setdefault(name, Row(name)).spans.append(span)
    return _most(rows)


def _classes(prediction: Result) -> list[Row]:
    """The segments of each class; those without a name have a row each."""
    rows: dict[str, Row] = {}
    best = sorted(prediction.segments, key=lambda segment: -segment.score)
    for number, segment in enumerate(best, start=1):
        name = segment.name or f"{UNNAMED} {number}"
        rows.setdefault(name, Row(name)).spans.append(_span(segment))
    return _most(rows)


def _span(segment: Segment) -> tuple[float, float, float]:
    return segment.start, segment.end, segment.score


def _most(rows: dict[str, Row]) -> list[Row]:
    """Those with the highest scores, best first."""
    return sorted(rows.values(), key=lambda row: -row.best)[:MOST_ROWS]


def _rows(rows: list[Row], end: float, empty: str) -> "Figure":
    """Rows of bars over time, the darker the higher the score; the best score is behind each."""
    from matplotlib.colors import to_rgba

    figure = new_figure(WIDTH, max(len(rows), 2) * ROW)
    axes = _axes(figure, 0, figure.get_figheight())
    highest = max((row.best for row in rows), default=1.0) or 1.0
    for place, row in enumerate(rows):
        spans = sorted(row.spans, key=lambda span: span[2])
        colours = [
            to_rgba(BLUE, 0.12 + 0.88 * min(max(score / highest, 0.0), 1.0))
            for _, _, score in spans
        ]
        stretches = [(start, stop - start) for start, stop, _ in spans]
        axes.broken_barh(stretches, (-place - 0.35, 0.7), facecolors=colours)
        axes.annotate(
            f"{row.best:.2f}", (1, -place), (5, 0), ("axes fraction", "data"),
            textcoords="offset points", va="center", fontsize=8, color=GREY,
        )  # fmt: skip
    names = [shorten(row.name, LETTERS) for row in rows]
    axes.set_yticks([-place for place in range(len(rows))], names, fontsize=8.5, color=TEXT)
    axes.set_ylim(-max(len(rows), 2) + 0.5, 0.5)
    _time_axis(axes, end)
    axes.tick_params(axis="y", labelsize=8.5, length=0)
    if rows:
        axes.annotate(
            "best", (1, 1), (5, 3), "axes fraction", textcoords="offset points", fontsize=8,
            color=GREY,
        )  # fmt: skip
    else:
        axes.text(end / 2, -0.5, empty, ha="center", va="center", fontsize=9, color=GREY)
    return figure
