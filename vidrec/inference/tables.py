"""Predictions as rows of csv files and as lines on a terminal."""

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vidrec.files.atomic_write import atomic_write
from vidrec.inference.result import KeyFrame, Moment, Result, ScoredClass

COLUMNS = {
    "recognition": ("video", "rank", "label", "name", "score", "start", "end"),
    "detection": (
        *("video", "time", "x1", "y1", "x2", "y2", "person_score"),
        *("label", "name", "score"),
    ),
    "localization": ("video", "start", "end", "score", "name"),
}
_INDENT = "  "

Cell = str | int | float | None


def csv_rows(found: Result) -> Iterator[tuple[Cell, ...]]:
    """The rows of a video, with the columns of its task; None where there is no value."""
    if found.task == "recognition":
        yield from _ranked(found.video, found.topk, None, None)
        for moment in found.timeline:
            yield from _ranked(found.video, moment.topk, moment.start, moment.end)
    elif found.task == "detection":
        for frame in found.key_frames:
            for person in frame.persons:
                place = (found.video, frame.time, *person.box, person.score)
                for action in person.actions:
                    yield (*place, action.label, action.name, action.score)
                if not person.actions:
                    yield (*place, None, None, None)
    else:
        for segment in found.segments:
            yield found.video, segment.start, segment.end, segment.score, segment.name


def _ranked(
    video: str, best: Sequence[ScoredClass], start: float | None, end: float | None
) -> Iterator[tuple[Cell, ...]]:
    for rank, each in enumerate(best, start=1):
        yield video, rank, each.label, each.name, each.score, start, end


def write_csv(predictions: Iterable[Result], task: str, path: str | Path) -> None:
    """Write the rows of all videos atomically, below a line with the names of the columns."""
    with atomic_write(path) as raw:
        # Paths may hold bytes that are not UTF-8.
        stream = io.TextIOWrapper(raw, "utf-8", "surrogateescape", newline="", write_through=True)
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS[task])
        for found in predictions:
            writer.writerows([_cell(value) for value in row] for row in csv_rows(found))
        stream.detach()


def _cell(value: Cell) -> Cell:
    return format(value, ".9g") if isinstance(value, float) else value  # float32 and ms exactly


def line(found: Result, width: int, top: int = 1) -> str:
    """What was found in one of several videos; width: columns of the longest of their names."""
    return f"{padded(printable(found.video), width)}  {_summary(found, top)}".rstrip()


def report(found: Result, top: int | None = None) -> str:
    """All that was found in a single video, in lines.

    top: classes that are named; None: all of the whole video, and the best one of its parts, where
    neighbouring ones of one class are joined.
    """
    length = "" if found.duration is None else f", {found.duration:.1f} s"
    lines = [f"{printable(found.video)}{length}: {found.protocol}"]
    if found.topk:
        lines += table([(f"{each.score:.3f}", each.name) for each in found.topk[:top]])
    if found.timeline:
        lines += table(_rows_of_parts(found.timeline, top))
    if found.task == "detection":
        lines += table([row for frame in found.key_frames for row in _person_rows(frame, top)])
    if found.task == "localization":
        rows = [(f"{s.score:.3f}", _span(s.start, s.end), s.name or "") for s in found.segments]
        lines += table(rows)
    if len(lines) == 1:
        lines.append(f"{_INDENT}{_summary(found, 1)}")
    return "\n".join(lines)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with the cells of each column below each other."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(columns_of, column)) for column in zip(*rows, strict=True)]
    return [_INDENT + "  ".join(map(padded, row, widths)).rstrip() for row in rows]


def _summary(found: Result, top: int) -> str:
    """The result of a video in one line."""
    if found.task == "detection":
        return _summary_of_persons(found)
    if found.task == "localization":
        if not found.segments:
            return "no segments"
        best = found.segments[0]
        more = f" and {len(found.segments) - 1} more" if len(found.segments) > 1 else ""
        return f"{best.score:.3f} {_span(best.start, best.end)} {best.name or ''}".rstrip() + more
    if found.topk:
        return _named(found.topk[:top])
    return ", ".join(
        f"{_span(start, end)} {name}" for start, end, name, _ in stretches(found.timeline)
    )


def _summary_of_persons(found: Result) -> str:
    persons = [person for frame in found.key_frames for person in frame.persons]
    if not persons:
        return f"no persons in {len(found.key_frames)} key frames"
    actions = Counter(action.name for person in persons for action in person.actions)
    names = ", ".join(f"{printable(name)} {count}" for name, count in actions.most_common(3))
    return f"{len(persons)} persons in {len(found.key_frames)} key frames: {names or 'no actions'}"


def stretches(timeline: Sequence[Moment]) -> list[tuple[float, float, str, float]]:
    """Start, end, name and mean score of neighbouring parts with the same best class, joined."""
    found: list[tuple[float, float, str, float]] = []
    for moment in timeline:
        best = moment.topk[0]
        weighted = (moment.end - moment.start) * best.score
        if found and found[-1][2] == best.name and found[-1][1] == moment.start:
            start, _, _, before = found.pop()
            found.append((start, moment.end, best.name, before + weighted))
        else:
            found.append((moment.start, moment.end, best.name, weighted))
    return [
        (start, end, name, weighted / (end - start) if end > start else weighted)
        for start, end, name, weighted in found
    ]


def _rows_of_parts(timeline: Sequence[Moment], top: int | None) -> list[tuple[str, str]]:
    if top is not None:
        return [(_span(part.start, part.end), _named(part.topk[:top])) for part in timeline]
    return [
        (_span(start, end), f"{score:.3f} {name}")
        for start, end, name, score in stretches(timeline)
    ]


def _person_rows(frame: KeyFrame, top: int | None) -> list[tuple[str, ...]]:
    """A row for each person: time, score, box, actions."""
    time = f"{frame.time:.1f} s"
    if not frame.persons:
        return [(time, "no person", "")]
    return [
        (
            time,
            "person {:.2f} at {:.2f} {:.2f} {:.2f} {:.2f}".format(person.score, *person.box),
            _named(person.actions[:top]),
        )
        for person in frame.persons
    ]


def _named(best: Iterable[ScoredClass]) -> str:
    return ", ".join(f"{each.score:.3f} {printable(each.name)}" for each in best)


def _span(start: float, end: float) -> str:
    return f"{start:.1f}-{end:.1f} s"


def printable(text: str) -> str:
    """A text as any terminal can show it: names of files may hold anything."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def columns_of(text: str) -> int:
    """Columns of a terminal that a text takes.

    >>> columns_of("wave"), columns_of("挥手"), columns_of("e\\u0301")
    (4, 4, 1)
    """
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def padded(text: str, width: int) -> str:
    """The text with spaces up to a number of columns."""
    return text + " " * (width - columns_of(text))
