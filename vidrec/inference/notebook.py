"""A prediction as a piece of HTML that needs nothing else: how notebooks show it."""

import base64
import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from vidrec.data.video.decoder import VideoError
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.timestamps import TimestampDecoder, last_frame_end, length_of
from vidrec.inference.drawing import UNNAMED, draw_persons, in_lanes
from vidrec.inference.result import KeyFrame, Result, ScoredClass
from vidrec.plots.style import COLOURS

FRAMES, HEIGHT = 6, 96  # of the strip, pixels
KEY_FRAMES, KEY_HEIGHT = 3, 240
MOST_ROWS = 12  # of a table
MOST_WIDTH = 640  # pixels of a picture
_CELL = "padding:1px 10px 1px 0;text-align:left;border:0;background:none"
_BAR = "display:inline-block;height:0.7em;border-radius:2px"


def html_of(found: Result) -> str:
    """Frames of the video, if it can be read, above a table of what was found in it."""
    head = f"<b>{_text(Path(found.video).name)}</b>"
    about = [found.protocol, Path(found.model).name]
    if found.duration is not None:
        about.insert(0, f"{found.duration:.1f} s")
    parts = [f"{head} <span style='opacity:0.65'>{_text(', '.join(about))}</span>"]
    parts += _pictures(found)
    if found.task == "detection":
        parts += _persons(found.key_frames)
    elif found.task == "localization":
        parts += _segments(found)
    else:
        parts += _classes(found)
    return f"<div style='font-size:0.92em'>{''.join(f'<div>{part}</div>' for part in parts)}</div>"


def _text(text: str) -> str:
    """Escaped; lone surrogates, as in names of files, are replaced."""
    return html.escape(text.encode("utf-8", "replace").decode())


def _table(rows: Iterable[Sequence[str]], more: int = 0) -> str:
    """Rows of HTML, and how many were left out."""
    lines = [
        "<tr>" + "".join(f"<td style='{_CELL}'>{cell}</td>" for cell in row) + "</tr>"
        for row in rows
    ]
    if more > 0:
        lines.append(f"<tr><td style='{_CELL};opacity:0.65'>and {more} more</td></tr>")
    return f"<table style='border:0'>{''.join(lines)}</table>"


def _named(best: Sequence[ScoredClass], count: int) -> str:
    return ", ".join(f"{_text(each.name)} {each.score:.2f}" for each in best[:count])


def _bar(share: float, colour: str = COLOURS[0]) -> str:
    width = round(120 * min(max(share, 0.0), 1.0))
    return f"<span style='{_BAR};width:{width}px;background:{colour}'></span>"


def _classes(found: Result) -> list[str]:
    parts = []
    if found.topk:
        shown = found.topk[:MOST_ROWS]
        highest = max(1.0, *(each.score for each in shown))
        rows = [
            (_text(each.name), _bar(each.score / highest), f"{each.score:.3f}") for each in shown
        ]
        parts.append(_table(rows, len(found.topk) - len(shown)))
    if found.timeline:
        moments = found.timeline[:MOST_ROWS]
        spans = [
            (f"{moment.start:.1f}–{moment.end:.1f} s", _named(moment.topk, 3)) for moment in moments
        ]
        parts.append(_table(spans, len(found.timeline) - len(moments)))
    return parts or ["no class"]


def _persons(key_frames: Sequence[KeyFrame]) -> list[str]:
    rows = [
        (f"{frame.time:.1f} s", f"person {person.score:.2f}", _named(person.actions, 3))
        for frame in key_frames
        for person in frame.persons
    ]
    if not rows:
        return [f"no person in {len(key_frames)} key frames"]
    return [_table(rows[:MOST_ROWS], len(rows) - MOST_ROWS)]


def _segments(found: Result) -> list[str]:
    if not found.segments:
        return ["no segment"]
    length = max([found.duration or 0.0, *(segment.end for segment in found.segments)]) or 1.0
    names = dict.fromkeys(segment.name for segment in found.segments)
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    placed = in_lanes(found.segments)
    bars = "".join(
        f"<span style='position:absolute;top:{2 + 12 * lane}px;height:9px;border-radius:2px;"
        f"left:{100 * segment.start / length:.2f}%;"
        f"width:{max(100 * (segment.end - segment.start) / length, 0.3):.2f}%;"
        f"background:{colours[segment.name]}'></span>"
        for segment, lane in placed
    )
    height = 4 + 12 * (1 + max(lane for _, lane in placed))
    track = (
        f"<div style='position:relative;height:{height}px;max-width:{MOST_WIDTH}px;"
        f"background:rgba(128,128,128,0.18);margin:4px 0'>{bars}</div>"
    )
    best = sorted(found.segments, key=lambda segment: -segment.score)
    rows = [
        (
            f"<span style='color:{colours[segment.name]}'>■</span> "
            f"{_text(segment.name or UNNAMED)}",
            f"{segment.start:.1f}–{segment.end:.1f} s",
            f"{segment.score:.3f}",
        )
        for segment in best[:MOST_ROWS]
    ]
    return [track, _table(rows, len(best) - MOST_ROWS)]


def _pictures(found: Result) -> list[str]:
    """The strip of frames, or key frames with their boxes; nothing if the video is not there."""
    try:
        if found.task != "detection":
            end = found.duration or min(length_of(found.video), last_frame_end(found.video))
            times = (np.arange(FRAMES) + 0.5) / FRAMES * end
            return [_row(_frames_at(found.video, times, HEIGHT))]
        with_persons = [frame for frame in found.key_frames if frame.persons]
        if not with_persons:
            return []
        places = np.linspace(0, len(with_persons) - 1, min(KEY_FRAMES, len(with_persons)))
        chosen = [with_persons[i] for i in places.round().astype(int).tolist()]
        pictures = _frames_at(found.video, np.array([frame.time for frame in chosen]), KEY_HEIGHT)
        for picture, frame in zip(pictures, chosen, strict=True):
            draw_persons(picture, frame.persons)
        return [_row(pictures)]
    except (VideoError, OSError):
        return []


def _frames_at(video: str, seconds: np.ndarray, height: int) -> list[Image.Image]:
    with TimestampDecoder(video, seconds, accurate=True) as source:
        width = min(max(round(height * source.width / source.height), 1), MOST_WIDTH)
        plan = CropPlan((0, 0, source.width, source.height), (height, width))
        return [Image.fromarray(frame) for frame in source.read(range(len(seconds)), plan)]


def _row(pictures: Iterable[Image.Image]) -> str:
    return "".join(
        f"<img style='display:inline;margin:3px 3px 3px 0' src='data:image/jpeg;base64,{_jpeg(p)}'>"
        for p in pictures
    )


def _jpeg(picture: Image.Image) -> str:
    memory = io.BytesIO()
    picture.save(memory, "jpeg", quality=82)
    return base64.b64encode(memory.getvalue()).decode()
