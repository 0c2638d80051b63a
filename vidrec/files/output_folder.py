"""Folders that a command fills with results, one file after the other.

`.vidrec.json` in the folder says that its results are vidrec's, and what they were made with, by
content: hashes of the weights, not their path. Results of other settings are neither taken for
those that are asked for nor replaced. `notes` in it, such as that path, are not compared.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from vidrec.files.atomic_write import atomic_write
from vidrec.files.text_files import read_json_file

_MARKER = ".vidrec.json"
_NOTES = "notes"
_SHOWN = 40  # characters of a value in messages


def check_output_folder(folder: Path, settings: Mapping[str, str], names: Iterable[str]) -> None:
    """Raise an error unless a command with these settings may write `folder`/NAME for all names.

    ValueError if the results in the folder were made with other settings, or if a name leads out
    of it; FileExistsError if a file that vidrec did not write has one of the names.
    """
    files = [folder / name for name in names]
    for parent in {file.parent for file in files}:
        if not parent.resolve().is_relative_to(folder.resolve()):
            raise ValueError(
                f"{parent} is not within the output folder {folder}: links and .. may not lead out"
            )
    marker = folder / _MARKER
    if not marker.is_file():
        if taken := [file for file in files if os.path.lexists(file)]:
            raise FileExistsError(
                f"{taken[0]} exists, and it was not written by this command: "
                "move it, or use another output folder"
            )
        return
    before = read_json_file(str(marker))
    if not isinstance(before, dict):
        raise ValueError(f"{marker} was changed: use another output folder")
    before.pop(_NOTES, None)
    if differing := [
        _difference(name, before.get(name), settings.get(name))
        for name in sorted({*before, *settings})
        if before.get(name) != settings.get(name)
    ]:
        raise ValueError(
            f"{folder} was made with other settings ({', '.join(differing)}); "
            "use another output folder"
        )


def mark_output_folder(
    folder: Path, settings: Mapping[str, str], notes: Mapping[str, str] | None = None
) -> None:
    """Note what the results in `folder`, which was checked, are made with.

    notes: what helps to repeat them, but may differ.
    """
    content = {**settings, **({_NOTES: dict(notes)} if notes else {})}
    with atomic_write(folder / _MARKER, "w") as stream:
        json.dump(content, stream, indent=1)


def marked(folder: Path) -> tuple[dict[str, str], dict[str, str]] | None:
    """Settings and notes of a marked folder; None if no command has marked it."""
    marker = folder / _MARKER
    if not marker.is_file():
        return None
    content = read_json_file(str(marker))
    if not isinstance(content, dict):
        return None
    notes = content.pop(_NOTES, {})
    return content, notes if isinstance(notes, dict) else {}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Only one process at a time is here, of all that write to the marked folder."""
    with open(folder / _MARKER, "r+") as stream:  # NFS locks no file that is only read
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _difference(name: str, before: object, now: object) -> str:
    texts = [str(value) for value in (before, now)]
    if max(map(len, texts)) > _SHOWN:
        return name
    return f"{name} {texts[0]}, not {texts[1]}"
