"""The csv files of Kinetics, and the clips that were downloaded for them -> lines of a list."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from vidrec.data.video.listing import VIDEO_EXTENSIONS, files_below
from vidrec.errors import did_you_mean
from vidrec.files.text_files import csv_rows

_COLUMNS = ("label", "youtube_id", "time_start", "time_end")


class Clip(NamedTuple):
    """A row of a csv: a class and the names that its file may have, without the extension."""

    label: str
    names: tuple[str, ...]


def read_clips(path: str) -> list[Clip]:
    """The rows of an official csv: `label,youtube_id,time_start,time_end,split`.

    A file is named ID_000044_000054, the usual form of trimmed clips, or ID alone. Raises
    ValueError with the file and the line if a column or a value is missing.
    """
    rows = csv_rows(path)
    _, header = next(rows, (1, []))
    names = [name.strip() for name in header]
    if absent := [name for name in _COLUMNS if name not in names]:
        hint = "a test csv has no labels" if absent == ["label"] else did_you_mean(absent[0], names)
        raise ValueError(f"{path} has no column {absent[0]!r}: {hint}")
    columns = [names.index(name) for name in _COLUMNS]
    clips = []
    for number, row in rows:
        try:
            label, video, start, end = (row[column].strip() for column in columns)
            first, last = int(float(start)), int(float(end))
        except (IndexError, ValueError):
            raise ValueError(
                f"{path}:{number}: {','.join(row)!r}; expected {','.join(_COLUMNS)},..."
            ) from None
        clips.append(Clip(label, (f"{video}_{first:06d}_{last:06d}", video)))
    return clips


def class_names(clips: Sequence[Clip]) -> list[str]:
    """The classes in order of label, which is that of their names."""
    return sorted({clip.label for clip in clips})


def found_in(folder: str) -> dict[str, str]:
    """Name without extension -> path relative to `folder`, of all videos below it."""
    return {
        path.stem: os.path.relpath(path, folder)
        for path in files_below(folder)
        if path.suffix.lower() in VIDEO_EXTENSIONS
    }


def lines(
    clips: Sequence[Clip], classes: Sequence[str], files: Mapping[str, str]
) -> Iterator[tuple[str, bool]]:
    """For every clip its line, `path label`, and True; or its first name and False if missing.

    files: those of `found_in`. Raises ValueError if a clip is of a class that is not known.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    for clip in clips:
        if clip.label not in numbers:
            raise ValueError(
                f"{clip.names[0]} is of the class {clip.label!r}, which has no training clips; "
                + did_you_mean(clip.label, classes)
            )
        path = next((files[name] for name in clip.names if name in files), None)
        yield (clip.names[0], False) if path is None else (f"{path} {numbers[clip.label]}", True)
