"""A file with a line of JSON for each label of a live source."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Self

from vidrec.inference.result import SCHEMA

_OWN = {"schema", "source", "model", "at"}  # keys of every line


class LiveLog:
    """Appends lines to a file, each of which is on the disk before the next label.

    path: None writes nothing. A line that a crash cut off stays; the next begins after it.
    source, model: of every line.

    Raises FileExistsError if there is a file with something else, which is left alone.
    """

    def __init__(self, path: Path | None, source: str, model: str) -> None:
        self._source = source
        self._model = model
        self._file: IO[str] | None = None
        if path is None:
            return
        begin = _check_own(path)
        self._file = path.open("a", encoding="utf-8")
        self._file.write(begin)

    def content(self, label: Mapping[str, Any]) -> dict[str, Any]:
        """The object of a line; label: what is particular to it."""
        about = {"schema": SCHEMA, "source": self._source, "model": self._model}
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        return {**about, "at": now, **label}

    def write(self, content: Mapping[str, Any]) -> None:
        """Append a line."""
        if self._file is not None:
            self._file.write(json.dumps(content) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_own(path: Path) -> str:
    """What must come before the first line: a line break if the last line was cut off."""
    if not path.exists():
        return ""
    if not path.is_file():
        raise FileExistsError(f"{path} is no file: pass the name of a file for the labels")
    with path.open("rb") as stream:
        first = stream.readline()
        if not first:
            return ""
        if not _is_own(first):
            raise FileExistsError(
                f"{path} exists and holds something else than labels of a live source: move it, "
                "or choose another name for the output"
            )
        stream.seek(-1, 2)
        return "" if stream.read() == b"\n" else "\n"


def _is_own(line: bytes) -> bool:
    try:
        content = json.loads(line)
    except ValueError:
        return False
    return isinstance(content, dict) and content.keys() >= _OWN
