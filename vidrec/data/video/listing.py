"""Video files of a folder, a list or a single path."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

log = logging.getLogger(__name__)

VIDEO_EXTENSIONS = (
    *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v"),
    *(".mkv", ".webm", ".avi", ".divx", ".flv", ".gif"),
    *(".ts", ".mts", ".m2ts", ".m2t", ".mpg", ".mpeg", ".m2v", ".vob", ".mxf"),
    *(".wmv", ".asf", ".ogv", ".ogm", ".rm", ".rmvb", ".h264", ".hevc"),
)


def files_below(folder: str | os.PathLike[str]) -> list[Path]:
    """The files of a folder at any depth, sorted, also those behind links to other folders.

    Each folder is read once, so that links in a circle end. Raises OSError if one cannot be read.
    """

    def fail(error: OSError) -> None:
        raise error

    found, read = [], set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=fail):
        real = os.path.realpath(parent)
        if real in read:
            folders.clear()
            continue
        read.add(real)
        found += [Path(parent, name) for name in names]
    return sorted(found)


def list_videos(videos: str) -> tuple[Path, list[Path]]:
    """The folder that names are relative to, and the files: of a folder, a list or one file."""
    path = Path(videos)
    if path.is_dir():
        found = [p for p in files_below(path) if p.suffix.lower() in VIDEO_EXTENSIONS]
        if not found:
            raise FileNotFoundError(
                f"videos={videos} holds no files of {', '.join(VIDEO_EXTENSIONS)}"
            )
        return path, found
    if not path.is_file():
        raise FileNotFoundError(f"videos={videos}: give a folder, a list of paths or a video file")
    if path.suffix.lower() in VIDEO_EXTENSIONS:
        return path.parent, [path]
    listed = [Path(line) for line in path.read_text().splitlines() if line.strip()]
    paths = [p if p.is_absolute() else path.parent / p for p in listed]
    missing = [p for p in paths if not p.exists()]
    if missing:
        sentence = (
            f"videos={videos}: {len(missing):,} of {len(paths):,} listed videos are missing, such "
            f"as {missing[0]}; paths are relative to the folder of the list"
        )
        if len(missing) == len(paths):
            raise FileNotFoundError(sentence)
        log.warning(sentence)
    return path.parent, paths


def by_name(root: Path, paths: Sequence[Path]) -> dict[str, Path]:
    """`deeper/c` -> ROOT/deeper/c.mp4: what the results of each video are called.

    A video outside of `root` is called by its file alone; one that is listed twice counts once.
    Raises ValueError if two videos would have the same name.
    """
    named: dict[str, Path] = {}
    base = os.path.abspath(root)
    for path in paths:
        # Not resolved: a link is called as it is here.
        whole = Path(os.path.abspath(path))
        inside = whole.relative_to(base) if whole.is_relative_to(base) else Path(whole.name)
        name = inside.with_suffix("").as_posix()
        other = named.setdefault(name, path)
        if os.path.abspath(other) != str(whole):
            raise ValueError(
                f"{other} and {path} would both be written as '{name}': rename one of them, or "
                "process them by themselves, with another output"
            )
    return named
