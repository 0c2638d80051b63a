"""Text files that people write: errors give the file, the line and what was expected."""

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidrec.errors import did_you_mean


def numbered_lines(path: str, comments: list[int] | None = None) -> Iterator[tuple[int, str]]:
    """(number from 1, text) of the lines that are not blank. Raises ValueError if all are.

    comments: gets the numbers of the comments, which are left out: lines of `#` alone, or of `#`
        and a space. `#1.mp4` is none: names of videos begin so. None: no line is a comment.
    """
    check_file(path)
    number = found = 0
    # Decoded line by line, to locate an invalid character.
    with open(path, "rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{path}:{number}: {raw[:200]!r} is not UTF-8: {error.reason}"
                ) from None
            if comments is not None and line.startswith("#") and not line[1:2].strip():
                comments.append(number)
            elif line:
                found += 1
                yield number, line
    if not found:
        raise ValueError(f"{path} has no samples: {number} lines, all blank or comments")


def csv_rows(path: str) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, fields) of the lines of a csv that are not empty.

    Quoted fields may go over several lines; a quote that is not closed is an error.
    """
    check_file(path)
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file, strict=True)
        try:
            for row in rows:
                if "\0" in "".join(row):
                    raise csv.Error("a null character")
                if any(row):
                    yield rows.line_num, row
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not a csv in UTF-8: {error}") from None
        except csv.Error as error:
            raise ValueError(
                f"{path} is not a csv in UTF-8: {error}, up to line {rows.line_num}; is a quote "
                "not closed?"
            ) from None


def shown(text: str) -> str:
    """A text in quotes, cut to what fits into a message.

    >>> shown("a,b"), len(shown(5000 * "9"))
    ("'a,b'", 125)
    """
    return repr(text) if len(text) <= 120 else f"{text[:120]!r}..."


def read_text(path: str) -> str:
    """The whole file."""
    check_file(path)
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}") from None


def read_json_file(path: str) -> Any:
    """The content of a JSON file."""
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:  # endless digits, endless brackets
        raise ValueError(f"{path} cannot be read as JSON: {str(error) or 'too large'}") from None


def check_file(path: str) -> None:
    """Raise FileNotFoundError if `path` is not a file, with the nearest names."""
    if os.path.isfile(path):
        return
    if os.path.isdir(path):
        raise FileNotFoundError(f"{path} is a folder, expected a file")
    raise FileNotFoundError(f"{path} does not exist; {what_is_there(path)}")


def what_is_there(path: str) -> str:
    """The names nearest to a missing path, or the part of it that exists."""
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        folder = next(parent for parent in folder.parents if parent.is_dir())
        return f"only its parent {folder} does"
    names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    return did_you_mean(Path(path).name, names) if names else f"{folder} is empty"
