"""Choices of a group's file that name none, and groups that are taken for keys."""

import importlib.util
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from vidrec.config.field_types import is_mapping
from vidrec.errors import did_you_mean

_FEW = 12  # names that are listed where none is near


def groups_in(folders: Sequence[Path]) -> list[str]:
    """The groups of all folders of configurations, such as `data` and `data/sampling`."""
    found = {
        Path(parent, name).relative_to(folder).as_posix()
        for folder in folders
        for parent, names, _ in os.walk(folder)
        for name in names
    }
    return sorted(group for group in found if group.split("/")[0] != "hydra")


def choices_of(group: str, folders: Sequence[Path]) -> list[str]:
    """The names of a group's files."""
    return sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})


def wrong_choice(argument: str, folders: Sequence[Path]) -> str | None:
    """What is wrong with a choice of a group's file, with the nearest name that there is."""
    key, equals, value = argument.partition("=")
    group = key.lstrip("+").split("@")[0]
    if not equals or not group or group.split("/")[0] == "hydra":
        return None  # plugins have choices of their own
    if not any((folder / group).is_dir() for folder in folders):
        if answer := _mapping_as_name(group, value, folders) if "/" in group else None:
            return answer
        if "/" in group and not group.startswith(("/", ".", "~")):
            return f"{argument}: there is no group {group}; {_similar(group, groups_in(folders))}"
        return None
    if re.search(r"[{(*$]", value):
        return None  # a mapping, one of Hydra's functions, a reference
    if value == "null":  # Hydra has no such choice: it stops with a traceback
        is_top = "/" not in group
        way = "leave it out" if is_top else f"write {key.lstrip('+').replace('/', '.')}=null"
        return f"{argument}: a group is given a file or is not named, {way}"
    known = choices_of(group, folders)
    for choice in (word.strip("[] '\"") for word in value.split(",")):
        inside = any((folder / group / f"{choice}.yaml").is_file() for folder in folders)
        if not inside:
            return _no_such_choice(key.lstrip("+"), group, choice, known)
    return None


def _no_such_choice(key: str, group: str, choice: str, known: Sequence[str]) -> str:
    name = PurePath(choice)
    stem = name.stem if name.suffix in (".yaml", ".yml", ".py") else name.name
    is_folder = group == "data" and name.suffix not in (".yaml", ".yml")
    if "/" in choice and is_folder and stem in known:
        return f"data={choice} is a folder: write data={stem} data.root={choice}"
    if stem in known and stem != choice:
        return f"{key}={choice}: a choice is a name, not a file: write {key}={stem}"
    if "/" in choice and group == "data":
        return (
            f"data={choice} is a path, not a file of conf/data: for videos in one folder a class "
            f"write data=folders data.root={choice}, for others data=NAME data.root={choice}"
        )
    if "/" in choice and group == "model":
        return (
            f"model={choice} is a path, not a file of conf/model: write model=NAME, and "
            f"model.weights={choice} for the weights to start from"
        )
    return f"{key}={choice}: there is no conf/{group}/{choice}.yaml; {_similar(choice, known)}"


def _similar(name: str, known: Sequence[str]) -> str:
    """The names that differ in case only, that begin with the given one, or that are near."""
    plain = {re.sub(r"[^a-z0-9/]+", "", other.lower()): other for other in known}
    same = plain.get(re.sub(r"[^a-z0-9/]+", "", name.lower()))
    if same:
        return f"did you mean '{same}'?"
    containing = [other for other in known if name and name.lower() in other.lower()]
    if len(containing) == 1:
        return f"did you mean '{containing[0]}'?"
    if containing:
        more = f" ({len(containing)} in all)" if len(containing) > 3 else ""
        return f"with this in their name: {', '.join(containing[:3])}{more}"
    hint = did_you_mean(name, known)
    if hint.startswith("there are") and len(known) > _FEW:
        return f"it has {len(known)} files, such as {', '.join(known[:3])}"
    return hint


def group_as_key(argument: str, folders: Sequence[Path]) -> str | None:
    """What to write where a name is given to the place that a group's file fills.

    `schedule.optimizer=adamw` instead of `schedule/optimizer=adamw`.
    """
    key, equals, value = argument.lstrip("+").partition("=")
    if not equals or not re.fullmatch(r"[\w.-]+", value) or "/" in key or "@" in key:
        return None
    if value in ("null", "true", "false") or re.fullmatch(r"[-+.\deE]+", value):
        return None
    last = key.rpartition(".")[2]
    groups = [group for group in groups_in(folders) if group.endswith(f"/{last}")]
    for group, place in _places(groups, folders):
        known = choices_of(group, folders)
        dotted = group.replace("/", ".")
        # Of the last word alone, `optimizer=adamw`, only if there is such a file.
        if key in (dotted, place) or (key == group.split("/")[-1] and value in known):
            choice = group if place == dotted else f"{group}@{place}"
            if value in known:
                return f"{key} is a group: write {choice}={value}"
            return f"{key} is a group: write {choice}=NAME; {_similar(value, known)}"
    return _mapping_as_name(key, value, folders)


def without_place(argument: str, folders: Sequence[Path]) -> str | None:
    """What to write for a choice whose file fills a place that its group does not name.

    `model/backbone=image` instead of `model/backbone@model.net.backbone=image`.
    """
    key, _, value = argument.partition("=")
    group = key.lstrip("+")
    if "/" not in group or "@" in group or group not in groups_in(folders):
        return None
    ((_, place),) = _places([group], folders)
    if place == group.replace("/", "."):
        return None
    return f"{argument} does not say where the choice belongs: write {key}@{place}={value}"


def _mapping_as_name(key: str, value: str, folders: Sequence[Path]) -> str | None:
    """The files of the group around a mapping that are named alike: `schedule.lr=cosine`."""
    group, _, _ = key.replace("/", ".").partition(".")
    named = [choice for choice in choices_of(group, folders) if value in choice]
    if not named or not is_mapping(key.replace("/", ".")):
        return None
    return (
        f"{key}={value}: {key} is a mapping, which a file of conf/{group} brings: write "
        f"{group}=NAME with one of {', '.join(named[:4])}{', ...' if len(named) > 4 else ''}"
    )


def _places(groups: Sequence[str], folders: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """(group, dotted place in the configuration that its files fill), of some groups."""
    if not groups:
        return
    pattern = re.compile(r"^ *- (?:override )?(?:/?[\w/]*/)?(\w+)@((?!_)[\w.]+): ", re.MULTILINE)
    mounted: dict[str, str] = {}
    for parent in ("model", "experiment"):
        for folder in folders:
            for file in sorted((folder / parent).glob("*.yaml")):
                for name, place in pattern.findall(file.read_text(errors="replace")):
                    place = place if place.startswith("model.") else f"model.{place}"
                    mounted.setdefault(f"model/{name}", place)
    for group in groups:
        yield group, mounted.get(group, group.replace("/", "."))


def chosen_twice(arguments: Sequence[str], folders: Sequence[Path]) -> str | None:
    """Two different files for one group, of which Hydra would silently take the last."""
    chosen: dict[str, str] = {}
    groups = set(groups_in(folders))
    for argument in arguments:
        key, equals, _ = argument.lstrip("+").partition("=")
        if equals and key.split("@")[0] in groups and chosen.setdefault(key, argument) != argument:
            return f"{key} is chosen twice, {chosen[key]} and {argument}: leave one of them out"
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


def missing_plugin(argument: str) -> str | None:
    """What has to be installed for a choice."""
    module, extra = _PLUGINS.get(argument, (None, None))
    if module and not _is_installed(module):
        return f"{argument} needs a plugin of Hydra: pip install 'vidrec[{extra}]'"
    return None


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # nor its parent
        return False
