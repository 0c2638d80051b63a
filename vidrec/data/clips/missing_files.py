"""Which files of a list do not exist, looked for before a run rather than by its first worker."""

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vidrec.data.clips.dataset import VideoDataset
from vidrec.data.video.image_folder import FrameReader
from vidrec.data.video.pyav import VideoReader
from vidrec.files.text_files import what_is_there

_EXAMPLES = 3
_FEW = 8  # names of a folder that are looked up one by one rather than by listing it


@dataclass(frozen=True)
class Source:
    """Where the samples of a dataset come from, as the configuration says.

    lists: the list files. prefix: the folder of the files; root: `data.root`. split: of the list.
    keys: those of the configuration that say where the files are.
    """

    lists: str
    prefix: str
    root: str
    split: str
    keys: str


def missing_rows(dataset: object) -> list[int]:
    """Rows of the records whose video, or whose folder of frames, does not exist.

    Folders are listed instead of asking for each file: a list of 240,000 takes about a second.
    Datasets and readers other than vidrec's own are not looked at.
    """
    if not isinstance(dataset, VideoDataset) or type(dataset).path is not VideoDataset.path:
        return []
    if not isinstance(dataset.reader, VideoReader | FrameReader):
        return []
    of_folders = isinstance(dataset.reader, FrameReader)
    names: list[bytes] = []
    rows_in: dict[bytes, list[int]] = {}
    paths = dataset.records.paths
    text, ends = paths.values.tobytes(), paths.ends.tolist()
    for row, (start, end) in enumerate(itertools.pairwise(ends)):
        folder, slash, name = text[start:end].rstrip(b"/").rpartition(b"/")
        names.append(name)
        rows_in.setdefault(folder + slash, []).append(row)
    prefix = os.fsencode(dataset.prefix)
    missing = []
    for folder, rows in rows_in.items():
        wanted = {names[row] for row in rows}
        there = _present(os.path.join(prefix, folder) or b".", wanted, of_folders)
        missing += [row for row in rows if names[row] not in there]
    return sorted(missing)


def _present(folder: bytes, names: set[bytes], of_folders: bool) -> set[bytes]:
    """Those of the names that are files of a folder, or folders in it."""
    exists = os.path.isdir if of_folders else os.path.isfile
    if len(names) <= _FEW:
        return {name for name in names if exists(os.path.join(folder, name))}
    try:
        with os.scandir(folder) as entries:
            return {
                entry.name
                for entry in entries
                if entry.name in names and (entry.is_dir() if of_folders else entry.is_file())
            }
    except (FileNotFoundError, NotADirectoryError):
        return set()


def complaint(dataset: VideoDataset, rows: Sequence[int], source: Source) -> str:
    """How many files are missing, which, and where they seem to be instead.

    rows: those of `missing_rows`, at least one.
    """
    total = len(dataset)
    names = [dataset.records[row].path for row in rows[:_EXAMPLES]]
    what = "folders of frames" if isinstance(dataset.reader, FrameReader) else "videos"
    shown = ", ".join(names) + (", ..." if len(rows) > _EXAMPLES else "")
    how_many = "all" if len(rows) == total else f"{len(rows):,} of the"
    hint = _other_kind(dataset, names[0], source) or _elsewhere(names[0], source)
    if not hint and len(rows) < total:
        hint = "repair the list, or skip them: data.on_bad_video=skip and data.max_bad_fraction"
    where = f"{source.prefix or '.'} ({source.keys})"
    return (
        f"{how_many} {total:,} {what} in {source.lists} are missing under {where}: {shown}"
        f"{'; ' if hint else ''}{hint}"
    )


def _other_kind(dataset: VideoDataset, name: str, source: Source) -> str:
    """What would be right if the file is a folder, or the other way round."""
    path = Path(source.prefix, name)
    if path.is_dir():
        return f"{path} is a folder: choose data/format=rawframes for folders of frames"
    if path.is_file() and isinstance(dataset.reader, FrameReader):
        return f"{path} is a file: choose data/format=videos for video files"
    return ""


def _elsewhere(name: str, source: Source) -> str:
    """What would be right if the file is in another likely place, or named a little differently."""
    path, root = Path(source.prefix, name), Path(source.root)
    places = [root, *(root / folder for folder in ("videos", "rawframes", source.split))]
    places += [Path(source.prefix).parent, Path(source.lists.split(", ")[0]).parent]
    for place in places:
        if (place / name).exists() and not os.path.isabs(name):
            return f"{place / name} exists: set data.{source.split}.prefix={place}"
    for other in sorted(path.parent.glob("*")):
        if other.stem == path.stem:
            return f"{other} exists: the list has another extension"
    for place in (Path(source.prefix), *places):
        for shorter in (Path(path.parent.name, path.name), Path(path.name)):
            if (place / shorter).exists():
                return (
                    f"{place / shorter} exists: list it as {shorter}, with "
                    f"data.{source.split}.prefix={place}"
                )
    if not Path(source.prefix or ".").is_dir():
        return f"{source.prefix} does not exist, {what_is_there(source.prefix)}"
    return ""
