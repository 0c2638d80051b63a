"""`run=DIR`: a run directory as the source of a network.

What a run was trained with is stored in its checkpoints, not beside them, so that it is always that
of the weights. Both are files that somebody else may have made: see `vidrec.config.trust`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from vidrec.config.compose import conf_dir, groups
from vidrec.config.overrides import repeated
from vidrec.config.trust import untrusted_override
from vidrec.config.values import quoted
from vidrec.errors import ConfigError
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


def overrides_of_run(folder: Path, arguments: list[str]) -> tuple[list[str], list[str]]:
    """The overrides that the checkpoint of a run was trained with, then `arguments`, which win; and
    the folders of configurations that they choose files of, besides vidrec's own.

    Recomposing from the choices keeps schemas and interpolations, which the stored result has lost.
    Raises FileNotFoundError if `folder` is not a run directory, ValueError if its checkpoint holds
    no overrides or some that a run directory may not ask for.
    """
    file = checkpoint_of_run(folder)
    content = open_checkpoint(file)
    content = content if isinstance(content, Mapping) else {}
    stored = content.get("overrides")
    if not isinstance(stored, list) or not all(isinstance(item, str) for item in stored):
        raise ValueError(
            f"{file} does not say what it was trained with: pass checkpoint={file} and the choices "
            "of its training, such as model=... data=..."
        )
    folders = content.get("folders", [])  # none in checkpoints of earlier checkouts
    if not isinstance(folders, list) or not all(map(_is_absolute, folders)):
        raise ValueError(f"{file} does not say in which folders its configurations are: {folders}")
    overrides = repeated(stored, arguments)
    known = groups([Path(conf_dir()), *map(Path, folders)])
    for override in overrides[: len(overrides) - len(arguments)]:
        if reason := untrusted_override(override, known):
            raise ValueError(f"{file} asks for {override}, which is not repeated: {reason}")
    return overrides, folders


def _is_absolute(folder: object) -> bool:
    return isinstance(folder, str) and Path(folder).is_absolute()


def with_run(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The overrides of a command with what `run=DIR` stands for: overrides and a checkpoint; and
    the folders of configurations that the run was trained with.

    Raises what `overrides_of_run` raises.
    """
    runs = [argument[4:] for argument in arguments if argument.startswith("run=")]
    arguments = [argument for argument in arguments if not argument.startswith("run=")]
    if not runs:
        return arguments, []
    folder = Path(runs[-1]).expanduser()
    repeating, folders = overrides_of_run(folder, arguments)
    named = ("checkpoint=", "score=")
    if not any(argument.lstrip("+").startswith(named) for argument in arguments):
        repeating.append(f"checkpoint={quoted(str(checkpoint_of_run(folder)))}")
    return [*repeating, f"run={quoted(str(folder))}"], folders


# What the files in the folders of a run may set, as its overrides may: of the rest of a command,
# what to write and whom to trust is said by whoever runs it.
_TRAINING = ("model", "data", "schedule", "runtime")


def is_of_training(override: str) -> bool:
    """Whether an override belongs to what is trained, rather than to the command."""
    key = override.lstrip("+~").partition("=")[0]
    return key.split("@")[0].split(".")[0].split("/")[0] in (*_TRAINING, "experiment")


def refuse_more_than_training(cfg: DictConfig, bare: DictConfig, folders: Sequence[str]) -> None:
    """Raise ConfigError if files in the folders of a run set anything else than training.

    cfg: as composed with them, and with Hydra's own node. bare: without the folders and the choices
    of the run.
    """
    with_files, without = (_outside_training(config) for config in (cfg, bare))
    for key in sorted({*with_files, *without}):
        if with_files.get(key) != without.get(key):
            raise ConfigError(
                f"the run's configurations in {', '.join(folders)} set {key}, but those of a run "
                f"may only set {', '.join(_TRAINING)}"
            )


def _outside_training(cfg: DictConfig) -> dict[str, object]:
    """The values of the other keys; `hydra.KEY` for each of Hydra's."""
    content = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(content, dict)
    of_hydra = content.pop("hydra")
    asked = (*_TRAINING, "run", "checkpoint")
    found = {str(key): value for key, value in content.items() if key not in asked}
    return found | {
        f"hydra.{key}": value
        for key, value in of_hydra.items()
        if key not in ("overrides", "runtime", "job", "searchpath")  # what was asked for
    }
