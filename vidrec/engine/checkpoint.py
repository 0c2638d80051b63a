"""Checkpoint files: written atomically, and readable even if the last one is damaged."""

import errno
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from vidrec.files.checkpoint_files import read_checkpoint

FORMAT = 1
Content = dict[str, Any]  # of a checkpoint; can be loaded with weights_only=True
LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written or read."""


def save_last(content: Content, folder: Path, names: Sequence[str] = ()) -> None:
    """Replace last.pt atomically; the one before becomes previous.pt.

    names: further names of the new file. They are set before last.pt is, so that a run that is
    killed in between continues from the old last.pt and sets them again. Raises CheckpointError if
    the disk is full or the folder is not writable.
    """
    path, previous = folder / LAST, folder / PREVIOUS
    part = folder / f".{LAST}.part"
    # Without it a damaged weight would go unnoticed; another package may have turned it off.
    torch.serialization.set_crc32_options(True)
    try:
        with part.open("wb") as stream:
            torch.save({"format": FORMAT, **content}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        for name in names:
            _link(part, folder / name)
        if path.exists():
            _link(path, previous)
        os.replace(part, path)
        _sync_folder(folder)
    except (OSError, RuntimeError) as error:
        part.unlink(missing_ok=True)
        cause = error if isinstance(error, OSError) else error.__cause__ or error.__context__
        full = isinstance(cause, OSError) and cause.errno in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EFBIG,
        )
        reason = "the disk is full" if full else str(error).splitlines()[0]
        kept = "; the previous one is intact" if path.exists() else ""
        raise CheckpointError(f"{path} could not be written: {reason}{kept}") from error


def prune(folder: Path, keep: int) -> None:
    """Delete all numbered checkpoints but the newest `keep`."""
    numbered = sorted(
        (int(match[1]), path)
        for path in folder.glob("epoch_*.pt")
        if (match := re.fullmatch(r"epoch_(\d+)\.pt", path.name))
    )
    for _, path in numbered[: max(0, len(numbered) - keep)]:
        path.unlink()


def read(path: Path) -> Content:
    """The content of a checkpoint. Raises CheckpointError if it is damaged or another file."""
    try:
        content = read_checkpoint(path)
    except FileNotFoundError:
        raise CheckpointError(f"checkpoint {path} does not exist") from None
    except Exception as error:  # damaged files fail anywhere in the reader
        first_line = (str(error).splitlines() or [""])[0][:150]
        raise CheckpointError(
            f"{path} is damaged ({type(error).__name__}: {first_line})"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not a checkpoint that a run can resume from; "
            "to start from its weights, pass it as model.weights"
        )
    return content


def read_newest(folder: Path, warn: Callable[[str], None]) -> Content | None:
    """last.pt, or previous.pt if that is damaged; None if there is neither.

    Raises CheckpointError if there are checkpoints but none is readable.
    """
    errors = []
    for path in (folder / LAST, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            content = read(path)
        except CheckpointError as error:
            errors.append(str(error))
            continue
        if errors:
            warn(f"{errors[0]}: falling back to {path}")
        return content
    if errors:
        raise CheckpointError(
            f"{' and '.join(errors)}; runtime.resume=never starts over in the same folder"
        )
    return None


def _link(source: Path, target: Path) -> None:
    """Make `target` another name of the file `source`, atomically; a copy if the file system has no
    hard links.
    """
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:
        import shutil

        shutil.copyfile(source, part)
    os.replace(part, target)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
