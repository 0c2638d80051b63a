"""Slips on the command line, each answered with one sentence before Hydra reads the arguments."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath

from vidrec.config.arguments import asks_for_sweep
from vidrec.config.field_types import is_text, wrong_deletion, wrong_type
from vidrec.config.full_keys import instead, words
from vidrec.config.group_choices import (
    choices_of,
    chosen_twice,
    group_as_key,
    groups_in,
    missing_plugin,
    without_place,
    wrong_choice,
)

# Hydra's options: those that take a value, and those that take none.
_WITH_VALUE = {
    "-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd",
    "--config-dir", "--experimental-rerun", "-i", "--info",
}  # fmt: skip
_FLAGS = {
    "-h", "--help", "--hydra-help", "--version", "--resolve", "-r", "--run", "-sc",
    "--shell-completion",
}  # fmt: skip

_NUMBER = r"[-+]?[\d.]+(?:[eE][-+]?\d+)?"
_VIDEOS = (".mp4", ".avi", ".mkv", ".webm", ".mov")
_WEIGHTS = (".pt", ".pth", ".ckpt", ".pkl", ".pyth", ".safetensors")


def first_slip(arguments: Sequence[str], folders: Sequence[Path]) -> str | None:
    """What is wrong with the first argument that cannot be meant as it stands.

    folders: of configurations, in order, vidrec's own first.
    """
    sweeps = "runtime=slurm" in arguments or any(map(asks_for_sweep, arguments))
    checks: list[Callable[[str], str | None]] = [
        lambda argument: wrong_choice(argument, folders),
        lambda argument: without_place(argument, folders),
        lambda argument: group_as_key(argument, folders),
        lambda argument: None if sweeps else _several(argument, folders),
        _wrong_form,
        wrong_type,
        missing_plugin,
    ]
    for position, argument in enumerate(arguments):
        if argument.startswith("-"):
            problem = _unknown_option(arguments, position)
        elif position and arguments[position - 1] in _WITH_VALUE:
            problem = _wrong_value_of_option(arguments[position - 1], argument)
        elif "=" not in argument.strip("="):
            is_deletion = argument.startswith("~")
            problem = (
                wrong_deletion(argument) if is_deletion else _no_value(arguments, position, folders)
            )
        else:
            problem = next(filter(None, (check(argument) for check in checks)), None)
        if problem:
            return problem
    return chosen_twice(arguments, folders)


def other_command(name: str) -> str | None:
    """The command that other projects call `name`; None if there is none."""
    other = {"test": "evaluate", "val": "evaluate", "eval": "evaluate", "validate": "evaluate"}
    other |= {"infer": "predict", "inference": "predict", "demo": "predict", "classify": "predict"}
    if name in other:
        return f"did you mean '{other[name]}'?"
    return None


def _unknown_option(arguments: Sequence[str], position: int) -> str | None:
    """What is wrong with an argument with hyphens that Hydra does not know.

    By default, agents of wandb pass values as `--key=value`.
    """
    argument = arguments[position]
    name, equals, value = argument.partition("=")
    if name in _WITH_VALUE or argument in _FLAGS or asks_for_sweep(argument):
        return None
    following = arguments[position + 1] if position + 1 < len(arguments) else ""
    if not equals and following and not following.startswith("-") and "=" not in following:
        value = following
    shown = f"{argument} {value}" if value and not equals else argument
    if words(name) == ["cfg_options"]:
        return f"{argument} is not needed: write key=value, with the keys of {_PRINTED}"
    if "." in name or not (answer := instead(name, value or None)):
        return (
            f"{argument} is not an option; write values without hyphens: "
            f"{name.lstrip('-')}={value or '...'}. In the command of a wandb sweep, use "
            "${args_no_hyphens} instead of ${args} (docs/cluster.md)"
        )
    return f"{shown} is not an option: {answer}"


_PRINTED = "python train.py --cfg job"


def _wrong_value_of_option(option: str, value: str) -> str | None:
    if option in ("-c", "--cfg") and value not in ("job", "hydra", "all"):
        return (
            f"{option} {value}: {option} prints the configuration (job, hydra or all); recipes are "
            "chosen with experiment=NAME, and vidrec migrate reads the files of other projects"
        )
    return None


def _no_value(arguments: Sequence[str], position: int, folders: Sequence[Path]) -> str | None:
    """What is wrong with an argument that is no `key=value`."""
    argument = arguments[position]
    following = arguments[position + 1] if position + 1 < len(arguments) else ""
    if following.startswith("=") or (argument.endswith("=") and following and "=" not in following):
        return f"{argument} {following}: write {argument}{following}, without the space"
    if argument.endswith("="):
        return wrong_choice(argument, folders) or wrong_type(argument)
    if pair := re.fullmatch(r"([A-Za-z][\w.]*):(\S*)", argument):
        value = pair[2] or ("" if "=" in following else following)
        shown = argument if pair[2] else f"{argument} {value}".rstrip()
        return f"{shown}: {instead(pair[1], value, near=False) or f'write {pair[1]}={value}'}"
    if answer := _of_a_file(argument, folders):
        return answer
    for group in groups_in(folders):
        if argument in choices_of(group, folders):
            return f"{argument} is the name of a file of conf/{group}: write {group}={argument}"
    value = following if following and "=" not in following else None
    # PySlowFast's options are pairs of a name and a value.
    is_key = re.fullmatch(r"[A-Za-z][\w.-]*", argument)
    if is_key and (answer := instead(argument, value, near=False)):
        return f"{argument} {value or ''}".rstrip() + f" has no '=': {answer}"
    return f"{argument} is not an argument: they are key=value, such as schedule.epochs=10"


def _of_a_file(argument: str, folders: Sequence[Path]) -> str | None:
    """What to write where the name of a file or folder stands alone."""
    path = PurePath(argument)
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml", ".py") and path.stem in choices_of("experiment", folders):
        return f"{argument} is a file: write experiment={path.stem}"
    if suffix in (".yaml", ".yml", ".py"):
        return (
            f"{argument} is a file: recipes are chosen by name, experiment=NAME; vidrec migrate "
            f"{argument} reads a configuration of another project"
        )
    if suffix in _VIDEOS:
        return (
            f"{argument} is a file: videos are given by data.root=FOLDER with data=folders, and to "
            "vidrec extract by videos=FILE"
        )
    if suffix in _WEIGHTS:
        return (
            f"{argument} is a file: write model.weights={argument} to start training from it, "
            f"checkpoint={argument} to use it in the other commands"
        )
    if Path(argument, "config.yaml").is_file():
        return f"{argument} is a run directory: write run={argument} (not in train.py)"
    if os.path.isdir(argument):
        return f"{argument} is a folder: write data.root={argument}, with data=folders or the like"
    return None


def _wrong_form(argument: str) -> str | None:
    """Spaces around the equals sign, and tuples in the place of lists."""
    key, _, value = argument.partition("=")
    if key != key.strip():
        return f"{argument!r}: write {key.strip()}={value.strip()}, without the space"
    if not is_text(key) and re.fullmatch(rf"\( *{_NUMBER}( *, *{_NUMBER})+ *,? *\)", value):
        return f"{argument}: lists are in brackets, write '{key}=[{value[1:-1].strip(' ,')}]'"
    return None


def _several(argument: str, folders: Sequence[Path]) -> str | None:
    """Several values where no sweep was asked for."""
    key, _, value = argument.lstrip("+").partition("=")
    is_group = any((folder / key.split("@")[0]).is_dir() for folder in folders)
    numbers = re.fullmatch(rf"{_NUMBER}(,{_NUMBER})+", value)
    names = is_group and re.fullmatch(r"[\w.-]+(,[\w.-]+)+", value)
    if (numbers and not is_text(key)) or names:
        lists = "" if names else f", or write '{key}=[{value}]' for a list"
        return f"{argument}: several values are a sweep, add -m for one run of each{lists}"
    return None
