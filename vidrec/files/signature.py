"""Which files vidrec wrote: no command replaces another one.

Beside FILE lies .FILE.vidrec with the size and the time of the last change that FILE had when it
was written. A file that was put in its place, or edited, is therefore not ours either.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from vidrec.files.atomic_write import atomic_write


def refuse_others(files: Iterable[str | os.PathLike[str]]) -> None:
    """Raise FileExistsError for the first file that is there and that vidrec did not write."""
    for file in map(Path, files):
        if not os.path.lexists(file):
            continue
        mark = _mark_of(file)
        if not mark.is_file() or mark.read_text() != version_of(file):
            raise FileExistsError(
                f"{file} exists, and vidrec did not write it or it was changed since: "
                "move it, or choose another name for the output"
            )


def sign(file: str | os.PathLike[str]) -> None:
    """Note that vidrec wrote `file`, which may be replaced from now on."""
    with atomic_write(_mark_of(Path(file)), "w") as stream:
        stream.write(version_of(file))


def version_of(path: str | os.PathLike[str]) -> str:
    """Size in bytes and time of the last change in ns, which another content hardly shares.

    Of a folder, whose entries may be too many to visit, it is that of its list of names. Empty if
    there is nothing at `path`.
    """
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def _mark_of(file: Path) -> Path:
    return file.with_name(f".{file.name}.vidrec")
