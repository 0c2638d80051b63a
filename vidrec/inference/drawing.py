"""What draws a prediction onto the frames of its video."""

from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw

from vidrec.inference.box_tracks import BoxTracks
from vidrec.inference.result import Moment, Person, Result, ScoredClass, Segment
from vidrec.plots.labelled_boxes import UNKNOWN, LabelledBox, draw_labelled_boxes
from vidrec.plots.overlay import (
    PALETTE,
    Bar,
    Colour,
    ScoreRow,
    draw_position,
    fitted,
    font_size,
    score_panel,
    segment_bar,
)

MOST_ROWS = 5  # of a panel
MOST_ACTIONS = 3  # of a box
MOST_SEGMENTS, MOST_LANES = 12, 3
UNNAMED = "segment"

Size = tuple[int, int]  # width and height in pixels
Draw = Callable[[Image.Image, float], None]  # onto the frame that is shown at a second


def drawing_of(prediction: Result, size: Size, duration: float) -> Draw:
    """What draws a prediction onto frames of (width, height). duration: of the video, seconds."""
    if prediction.task == "detection":
        return _persons(prediction, size)
    if prediction.task == "localization":
        return _segments(prediction.segments, size, duration)
    return _labels(prediction, size)


def _labels(prediction: Result, size: Size) -> Draw:
    """The best classes in a corner: those of the part that is shown, or of the whole video."""
    edge = font_size(size) // 2
    panels: dict[int | None, Image.Image] = {}  # of the last part only

    def draw(picture: Image.Image, seconds: float) -> None:
        number = moment_at(prediction.timeline, seconds)
        if number not in panels:
            best = prediction.topk if number is None else prediction.timeline[number].topk
            panels.clear()
            panels[number] = score_panel(score_rows(best[:MOST_ROWS]), size)
        picture.paste(panels[number], (edge, edge), panels[number])

    return draw


def moment_at(timeline: Sequence[Moment], seconds: float) -> int | None:
    """Number of the part whose middle is nearest of those at a time; else of the nearest one."""

    def distance(number: int) -> tuple[float, float]:
        moment = timeline[number]
        outside = max(moment.start - seconds, seconds - moment.end, 0.0)
        return outside, abs((moment.start + moment.end) / 2 - seconds)

    return min(range(len(timeline)), key=distance, default=None)


def score_rows(best: Sequence[ScoredClass], colour: Colour = PALETTE[0]) -> list[ScoreRow]:
    """Lines of a panel; bars of scores that are no probabilities are relative to the highest."""
    scores = [each.score for each in best]
    is_share = all(0 <= score <= 1 for score in scores)
    low, high = (0.0, 1.0) if is_share else (min(0.0, *scores, 0.0), max(*scores, 1e-12))
    return [
        ScoreRow(each.name, each.score, (each.score - low) / (high - low), colour) for each in best
    ]


def _persons(prediction: Result, size: Size) -> Draw:
    """Boxes with their best actions, between the key frames too."""
    tracks = BoxTracks(prediction.key_frames)

    def draw(picture: Image.Image, seconds: float) -> None:
        draw_persons(picture, tracks.at(seconds))

    return draw


def draw_persons(picture: Image.Image, persons: Sequence[Person]) -> None:
    """Draw boxes with their best actions onto a frame."""
    letters = font_size(picture.size)
    boxes = []
    for person in persons:
        labels = [
            (f"{fitted(each.name, letters, picture.width / 3)} {each.score:.2f}", UNKNOWN)
            for each in person.actions[:MOST_ACTIONS]
        ]
        x1, y1, x2, y2 = person.box
        corners = x1 * picture.width, y1 * picture.height, x2 * picture.width, y2 * picture.height
        boxes.append(LabelledBox(corners, labels))
    draw_labelled_boxes(ImageDraw.Draw(picture, "RGBA"), boxes, 1.0, picture.size, letters)


def _segments(segments: Sequence[Segment], size: Size, duration: float) -> Draw:
    """The best segments on a bar along the bottom, with the position; above it the current ones."""
    length = max([duration, *(segment.end for segment in segments)]) or 1.0
    placed = in_lanes(segments)
    colours = colours_of([segment.name for segment, _ in placed])
    bars = [
        Bar(segment.start / length, segment.end / length, lane, colours[segment.name])
        for segment, lane in placed
    ]
    track = segment_bar(bars, size)
    edge = font_size(size) // 2
    panels: dict[tuple[int, ...], Image.Image] = {}  # of the last segments only

    def draw(picture: Image.Image, seconds: float) -> None:
        top = size[1] - track.height
        picture.paste(track, (0, top), track)
        draw_position(ImageDraw.Draw(picture), seconds / length, track.height, size)
        now = tuple(n for n, (s, _) in enumerate(placed) if s.start <= seconds < s.end)
        if not now:
            return
        if now not in panels:
            panels.clear()
            panels[now] = score_panel([_row(placed[n][0], colours) for n in now], size)
        picture.paste(panels[now], (edge, max(top - panels[now].height - edge, 0)), panels[now])

    return draw


def _row(segment: Segment, colours: dict[str | None, Colour]) -> ScoreRow:
    name = segment.name or UNNAMED
    return ScoreRow(name, segment.score, segment.score, colours[segment.name])


def in_lanes(segments: Sequence[Segment]) -> list[tuple[Segment, int]]:
    """The best segments, each with the first lane that has room for it; those without are left out.

    Best first, at most twelve in three lanes.
    """
    lanes: list[list[Segment]] = [[] for _ in range(MOST_LANES)]
    placed = []
    for segment in sorted(segments, key=lambda segment: -segment.score):
        for number, lane in enumerate(lanes):
            if all(segment.end <= other.start or other.end <= segment.start for other in lane):
                lane.append(segment)
                placed.append((segment, number))
                break
        if len(placed) == MOST_SEGMENTS:
            break
    return placed


def colours_of(names: Sequence[str | None]) -> dict[str | None, Colour]:
    """A colour for each name, those of the first ones different."""
    return {name: PALETTE[n % len(PALETTE)] for n, name in enumerate(dict.fromkeys(names))}
