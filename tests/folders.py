"""What a folder holds, to compare before and after."""

from pathlib import Path

from vidrec.tracking.run import LOCK


def content_of(folder: Path) -> dict[str, bytes]:
    """The files of a run directory by name; who holds its lock does not count."""
    files = (path for path in folder.iterdir() if path.is_file() and path.name != LOCK)
    return {path.name: path.read_bytes() for path in files}
