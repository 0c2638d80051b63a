"""`run=DIR`: a run directory as the source of a network.

What a run was trained with is stored in its checkpoints, not beside them, so that it is always that
of the weights. Both are files that somebody else may have made: see `vidrec.config.trust`.
"""

from collections.abc import Mapping
from pathlib import Path

from vidrec.config.compose import groups
from vidrec.config.overrides import repeated
from vidrec.config.trust import untrusted_override
from vidrec.files.checkpoint_files import open_checkpoint


def checkpoint_of_run(folder: Path) -> Path:
    """The best checkpoint of a run directory, or the last if none was the best yet.

    Raises FileNotFoundError if there is neither.
    """
    for name in ("best.pt", "last.pt"):
        if (folder / name).is_file():
            return folder / name
    there = "it has neither best.pt nor last.pt" if folder.is_dir() else "there is no such folder"
    raise FileNotFoundError(f"{folder} is not a run directory that has saved a checkpoint: {there}")


def overrides_of_run(folder: Path, arguments: list[str]) -> list[str]:
    """The overrides that the checkpoint of a run was trained with, then `arguments`, which win.

    Recomposing from the choices keeps schemas and interpolations, which the stored result has lost.
    Raises FileNotFoundError if `folder` is not a run directory, ValueError if its checkpoint holds
    no overrides or some that a run directory may not ask for.
    """
    file = checkpoint_of_run(folder)
    content = open_checkpoint(file)
    stored = content.get("overrides") if isinstance(content, Mapping) else None
    if not isinstance(stored, list) or not all(isinstance(item, str) for item in stored):
        raise ValueError(
            f"{file} does not say what it was trained with: pass checkpoint={file} and the choices "
            "of its training, such as model=... data=..."
        )
    overrides = repeated(stored, arguments)
    for override in overrides[: len(overrides) - len(arguments)]:
        if reason := untrusted_override(override, groups()):
            raise ValueError(f"{file} asks for {override}, which is not repeated: {reason}")
    return overrides


def with_run(arguments: list[str]) -> list[str]:
    """The arguments of a command with what `run=DIR` stands for: overrides and a checkpoint.

    Ends the program with a sentence if DIR cannot be used.
    """
    runs = [Path(argument[4:]) for argument in arguments if argument.startswith("run=")]
    arguments = [argument for argument in arguments if not argument.startswith("run=")]
    if not runs:
        return arguments
    folder = runs[-1]
    try:
        repeating = overrides_of_run(folder, arguments)
        named = ("checkpoint=", "score=")
        if not any(argument.lstrip("+").startswith(named) for argument in arguments):
            repeating.append(f"checkpoint='{checkpoint_of_run(folder)}'")
    except (OSError, ValueError, RuntimeError) as error:
        raise SystemExit(f"error: {error}") from None
    return [*repeating, f"run='{folder}'"]
