"""Folders of example data that are written once, however many processes ask for them."""

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

MARKER = ".vidrec-example-data"
_SIGNATURE = "vidrec writes this folder once and never changes it\n"


def write_once(root: str, version: str, write: Callable[[Path], None]) -> None:
    """Let `write` fill the folder `root`, unless it already has this `version`.

    The data are written beside `root` and renamed, so that no process sees a part of them;
    concurrent processes wait for the first. Only a folder that is missing or empty is filled: in
    others there may be files of the user, or another job may be reading them. Raises ValueError if
    the folder has anything else than this version.
    """
    folder = Path(root).resolve()
    if _has(folder, version):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f".{folder.name}.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _has(folder, version):
            return
        part = folder.parent / f".{folder.name}.part"
        if _is_empty(part) or _version_in(part) is not None:
            shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
        part.mkdir()
        (part / MARKER).write_text(_SIGNATURE + version)
        write(part)
        part.rename(folder)  # fails if there are files in `folder` by now


def _has(folder: Path, version: str) -> bool:
    """Whether the data are there. Raises ValueError if something else is."""
    found = _version_in(folder)
    if found == version:
        return True
    if found is not None:
        raise ValueError(
            f"{folder} has the example data '{found}', not '{version}', and other jobs may be "
            "reading them: delete the folder, or set data.root to another one"
        )
    if folder.exists() and not _is_empty(folder):
        foreign = min(folder.iterdir()).name if folder.is_dir() else "itself, a file"
        raise ValueError(
            f"{folder} has files that are not the example data, such as {foreign}; nothing was "
            "changed: set data.root to a new folder"
        )
    return False


def _version_in(folder: Path) -> str | None:
    """The version of the example data in a folder; None if vidrec did not write it."""
    marker = folder / MARKER
    text = marker.read_text(errors="replace") if marker.is_file() else ""
    return text.removeprefix(_SIGNATURE) if text.startswith(_SIGNATURE) else None


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())
