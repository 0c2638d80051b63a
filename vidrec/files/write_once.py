"""Folders of example data that are written once, however many processes ask for them."""

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path


def write_once(root: str, version: str, write: Callable[[Path], None]) -> None:
    """Let `write` fill the folder `root`, unless it already has this `version`.

    The data are written beside `root` and renamed, so that no process sees a part of them;
    concurrent processes wait for the first. Raises ValueError if the folder has other files.
    """
    folder = Path(root)
    if _is_current(folder, version):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f".{folder.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_current(folder, version):
            return
        if folder.exists() and not (folder / "version").is_file() and any(folder.iterdir()):
            raise ValueError(
                f"{folder} contains files that are not the example data; "
                "move them or set data.root to another folder"
            )
        part, old = (folder.parent / f".{folder.name}.{word}" for word in ("part", "old"))
        for leftover in (part, old):
            shutil.rmtree(leftover, ignore_errors=True)
        part.mkdir()
        write(part)
        (part / "version").write_text(version)
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
        shutil.rmtree(old, ignore_errors=True)


def _is_current(folder: Path, version: str) -> bool:
    marker = folder / "version"
    return marker.is_file() and marker.read_text() == version
