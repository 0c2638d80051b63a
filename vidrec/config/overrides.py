"""Command-line overrides: what is done to them before Hydra sees them."""

import functools
import importlib.util
import os
import re
import sys
from pathlib import Path

from vidrec.config.compose import conf_dir
from vidrec.config.run_name import short_name
from vidrec.errors import did_you_mean


def lenient(arguments: list[str]) -> list[str]:
    """`key=value` of plain keys as `++key=value`: unknown keys reach the start-up validation.

    Hydra would reject them without naming the nearest valid key. Group choices, deletions, flags
    and Hydra's own keys stay as they are. `schedule.lr=0.01`, a number where the phases of the
    learning rate are, means the optimizer's.
    """
    arguments = [_SHORT_RATE.sub("schedule.optimizer.lr=", argument) for argument in arguments]
    return [
        f"++{argument}" if argument[:1].isalpha() and is_key(argument) else argument
        for argument in arguments
    ]


_SHORT_RATE = re.compile(r"^schedule\.lr=(?=[\d.+-]|nan|inf)")


def is_key(argument: str) -> bool:
    """Whether an override gives a value to a key, rather than choosing a file of a group."""
    key, equals, _ = argument.lstrip("+").partition("=")
    return (
        bool(equals)
        and key[:1].isalpha()
        and "/" not in key
        and key.split("@")[0] not in _groups()
        and key.split(".")[0] != "hydra"
    )


@functools.cache
def _groups() -> set[str]:
    return {path.name for path in Path(conf_dir()).iterdir() if path.is_dir()}


def set_argv(arguments: list[str]) -> None:
    """Make `arguments` the command line that Hydra reads; ends the program at a wrong choice."""
    problem = hyphenated(arguments) or wrong_choice(arguments) or missing_plugin(arguments)
    if problem:
        raise SystemExit(f"configuration error: {problem}")
    if "runtime=slurm" in arguments or any(map(asks_for_sweep, arguments)):
        arguments = of_sweep(arguments)
    sys.argv[1:] = lenient(arguments)


def asks_for_sweep(argument: str) -> bool:
    """Whether Hydra starts several runs because of an argument: -m, --multirun or hydra.mode."""
    key, _, value = argument.lstrip("+").partition("=")
    if key == "hydra.mode":
        return value.strip("'\"") in ("MULTIRUN", "RunMode.MULTIRUN", "2")
    # Hydra takes --multi and the like too.
    return argument == "-m" or (len(argument) > 2 and "--multirun".startswith(argument))


# Hydra's options: those that take a value, and those that take none.
_WITH_VALUE = {
    "-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd",
    "--config-dir", "--experimental-rerun", "-i", "--info",
}  # fmt: skip
_FLAGS = {
    "-h", "--help", "--hydra-help", "--version", "--resolve", "-r", "--run", "-sc",
    "--shell-completion",
}  # fmt: skip


def hyphenated(arguments: list[str]) -> str | None:
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


def of_sweep(arguments: list[str]) -> list[str]:
    """The arguments of a multirun, with a directory that follows from the choices.

    Ends the program under torchrun, which starts one job in several processes.
    """
    plain = [argument for argument in arguments if not asks_for_sweep(argument)]
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        ranks = os.environ["WORLD_SIZE"]
        raise SystemExit(
            "error: torchrun starts one run in several processes, -m starts several runs; let a "
            f"launcher start the processes of each: python train.py -m {' '.join(plain)} "
            f"hydra/launcher=submitit_local hydra.launcher.tasks_per_node={ranks}, or on a cluster "
            f"... runtime=slurm hydra.launcher.gpus_per_node={ranks}"
        )
    if not any(argument.startswith("hydra.sweep.dir=") for argument in plain):
        plain.append(f"hydra.sweep.dir='runs/{short_name('sweep', plain)}'")
    return ["--multirun", *plain]


# What a choice needs that is not among the required packages, and the extra that brings it.
_PLUGINS = {
    "runtime=slurm": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
    "hydra/launcher=slurm": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
    "hydra/launcher=submitit_slurm": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
    "hydra/launcher=submitit_local": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
    "hydra/launcher=joblib": ("hydra_plugins.hydra_joblib_launcher", "sweep"),
    "hydra/sweeper=optuna": ("hydra_plugins.hydra_optuna_sweeper", "sweep"),
}


def missing_plugin(arguments: list[str]) -> str | None:
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


def wrong_choice(arguments: list[str]) -> str | None:
    """What is wrong with the first group choice that names no file, with the nearest that does."""
    for argument in arguments:
        key, equals, value = argument.partition("=")
        group = key.lstrip("+").split("@")[0]
        folder = Path(conf_dir(), group)
        if not equals or not group or not folder.is_dir() or group.startswith("hydra"):
            continue  # plugins have choices of their own
        known = sorted(path.stem for path in folder.glob("*.yaml"))
        if re.search(r"[{(*$/]", value):
            continue  # a mapping, one of Hydra's functions, a reference, a path
        for choice in (word.strip("[] '\"") for word in value.split(",")):
            if choice not in ("null", *known):
                hint = did_you_mean(choice, known)
                return f"{group}={choice}: there is no conf/{group}/{choice}.yaml; {hint}"
    return None


def repeated(stored: list[str], arguments: list[str]) -> list[str]:
    """The overrides of an earlier command, then `arguments`, which win.

    What says where and how to run stays behind: it was for that command.
    """
    replaced = {_key(argument) for argument in arguments}

    def stays(override: str) -> bool:
        key = _key(override)
        return key not in replaced and key.split(".")[0] != "runtime" and key != "data.cache"

    return [override for override in stored if stays(override)] + arguments


def _key(argument: str) -> str:
    return argument.lstrip("+~").partition("=")[0]
