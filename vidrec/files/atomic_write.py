"""Files that are written completely or not at all, however the writing process ends."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal


@contextmanager
def atomic_write(
    path: str | os.PathLike[str], mode: Literal["w", "wb"] = "wb", *, sync: bool = True
) -> Iterator[IO[Any]]:
    """A stream into a temporary file that replaces `path` when the block ends without an exception.

    Until then `path` keeps its content. Its folder is created. If several processes write it, the
    last one wins. sync: also survive a power failure, which costs some milliseconds.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own for each writer: processes of other machines may share the folder.
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.part")
    try:
        with part.open(mode, encoding=None if mode == "wb" else "utf-8") as stream:
            yield stream
            if sync:
                stream.flush()
                os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def check_writable(path: str | os.PathLike[str], is_folder: bool = False) -> None:
    """Raise OSError if a file or folder cannot be written, before the work that it is for.

    Nothing is created.
    """
    path = Path(path)
    if path.exists() and path.is_dir() != is_folder:
        found, expected = ("a file", "a folder") if is_folder else ("a folder", "a file")
        raise OSError(f"{path} is {found}, expected the name of {expected}")
    there = next(parent for parent in path.absolute().parents if parent.exists())
    if not there.is_dir():
        raise OSError(f"{path} cannot be written: {there} is not a folder")
    if not os.access(there, os.W_OK):
        raise OSError(f"{path} cannot be written: {there} is read-only")
