"""Slips on the command line, each answered with one sentence before Hydra reads the arguments."""

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

from vidrec.config.arguments import asks_for_sweep
from vidrec.errors import did_you_mean


def first_slip(arguments: Sequence[str], folders: Sequence[Path]) -> str | None:
    """What is wrong with the first argument that cannot be meant as it stands.

    folders: of configurations, in order, vidrec's own first.
    """
    return hyphenated(arguments) or wrong_choice(arguments, folders) or missing_plugin(arguments)


# Hydra's options: those that take a value, and those that take none.
_WITH_VALUE = {
    "-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd",
    "--config-dir", "--experimental-rerun", "-i", "--info",
}  # fmt: skip
_FLAGS = {
    "-h", "--help", "--hydra-help", "--version", "--resolve", "-r", "--run", "-sc",
    "--shell-completion",
}  # fmt: skip


def hyphenated(arguments: Sequence[str]) -> str | None:
    """What is wrong with the first argument with hyphens that Hydra does not know.

    By default, agents of wandb pass values as `--key=value`.
    """
    for argument in arguments:
        name, _, value = argument.partition("=")
        known = name in _WITH_VALUE or argument in _FLAGS or asks_for_sweep(argument)
        if name.startswith("-") and not known:
            return (
                f"{argument} is not an option; write values without hyphens: "
                f"{name.lstrip('-')}={value or '...'}. In the command of a wandb sweep, use "
                "${args_no_hyphens} instead of ${args} (docs/cluster.md)"
            )
    return None


# What a choice needs that is not among the required packages, and the extra that brings it.
_PLUGINS = {
    "runtime=slurm": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
    "hydra/launcher=slurm": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
    "hydra/launcher=submitit_slurm": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
    "hydra/launcher=submitit_local": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
    "hydra/launcher=joblib": ("hydra_plugins.hydra_joblib_launcher", "sweep"),
    "hydra/sweeper=optuna": ("hydra_plugins.hydra_optuna_sweeper", "sweep"),
}


def missing_plugin(arguments: Sequence[str]) -> str | None:
    """What has to be installed for the arguments."""
    for argument in arguments:
        module, extra = _PLUGINS.get(argument, (None, None))
        if module and not _is_installed(module):
            return f"{argument} needs a plugin of Hydra: pip install 'vidrec[{extra}]'"
    return None


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # nor its parent
        return False


def wrong_choice(arguments: Sequence[str], folders: Sequence[Path]) -> str | None:
    """What is wrong with the first group choice that names no file, with the nearest that does."""
    for argument in arguments:
        key, equals, value = argument.partition("=")
        group = key.lstrip("+").split("@")[0]
        places = [folder / group for folder in folders if (folder / group).is_dir()]
        if not equals or not group or not places or group.startswith("hydra"):
            continue  # plugins have choices of their own
        known = sorted({path.stem for place in places for path in place.glob("*.yaml")})
        if re.search(r"[{(*$/]", value):
            continue  # a mapping, one of Hydra's functions, a reference, a path
        for choice in (word.strip("[] '\"") for word in value.split(",")):
            if choice not in ("null", *known):
                hint = did_you_mean(choice, known)
                return f"{group}={choice}: there is no conf/{group}/{choice}.yaml; {hint}"
    return None
