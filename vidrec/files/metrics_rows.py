"""The rows of a metrics.jsonl, one JSON object a line, whatever has happened to the file."""

import json
import sys
from pathlib import Path
from typing import NamedTuple

Row = dict[str, float]


class MetricsLines(NamedTuple):
    """The lines of a file, without their ends; an unfinished last line is in neither list."""

    rows: list[tuple[bytes, Row]]
    damaged: list[tuple[int, bytes]]  # with its number, from 1


def read_metrics(path: Path) -> MetricsLines:
    """The lines of `path`; none if there is no such file."""
    found = MetricsLines([], [])
    content = path.read_bytes() if path.is_file() else b""
    *lines, last = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        row = parse_row(line)
        if row is not None:
            found.rows.append((line, row))
        elif line.strip():
            found.damaged.append((number, line))
    # Without its end, a line is being written or was cut off by a crash.
    if (row := parse_row(last)) is not None:
        found.rows.append((last, row))
    return found


def parse_row(line: bytes) -> Row | None:
    """The numbers of a line by name, without null (not finite). None if it is no row with a `step`.

    >>> parse_row(b'{"epoch": 1, "step": 20, "train/loss": null}')
    {'epoch': 1, 'step': 20}
    >>> parse_row(b'{"epoch": 1, "st') is parse_row(b'[1]') is parse_row(b'{"epoch": 1}') is None
    True
    """
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    known = {name: value for name, value in row.items() if value is not None}
    return known if "step" in known and all(map(_is_number, known.values())) else None


def _is_number(value: object) -> bool:
    """Finite, and not too large for a float."""
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max
