"""The folders that configurations are composed from: vidrec's own and those of the user.

Folders of the user come after vidrec's own: `conf/` of the working directory, if it has any of the
groups, then those of `--config-dir` and `hydra.searchpath`. A command with `run=DIR` adds those
that the run was trained with.
"""

import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser

from vidrec.config.compose import chosen_files, conf_dir
from vidrec.config.values import quoted, readable
from vidrec.errors import ConfigError

_OPTIONS = ("--config-dir", "-cd")
_KEY = "hydra.searchpath"


def conf_folders(arguments: Sequence[str], of_run: Sequence[str] = ()) -> list[Path]:
    """The folders of a command, vidrec's own first.

    of_run: those that a run directory asks for; they are not looked for if the arguments name
    folders, which stand for them. Raises ConfigError if a folder cannot be used, or has a file of
    the same name as another one, which would hide it.
    """
    named = [_usable(path, "") for path in named_folders(arguments)]
    if not named:
        named = [_usable(Path(path), "the run was trained with files of ") for path in of_run]
    found = [Path(conf_dir()), *working_folder(), *named]
    folders = list({path.resolve(): path for path in reversed(found)}.values())[::-1]
    _refuse_same_names(folders)
    return folders


def named_folders(arguments: Sequence[str]) -> list[Path]:
    """The folders of `--config-dir` and `hydra.searchpath`."""
    found = []
    for i, option in enumerate(arguments):
        name, equals, value = option.partition("=")
        if name in _OPTIONS:
            found.append(_local(value if equals else "".join(arguments[i + 1 : i + 2])))
        elif name.lstrip("+") == _KEY:
            (override,) = OverridesParser.create().parse_overrides(readable([option]))
            paths = override.value()
            found += [_local(str(path)) for path in paths] if isinstance(paths, list) else []
    return found


def working_folder() -> list[Path]:
    """`conf/` of the working directory if it has a group and is not vidrec's own, or nothing."""
    path = Path("conf").absolute()
    own = Path(conf_dir())
    return [path] if _has_groups(path) and path.resolve() != own.resolve() else []


def use_working_directory() -> None:
    """Let packages beside `conf/` of the working directory be imported, after all others."""
    here = str(Path.cwd())
    if working_folder() and here not in sys.path:
        sys.path.append(here)


def search_path(folders: Sequence[Path]) -> list[str]:
    """The override that makes Hydra look into further folders than vidrec's own, if there are any.

    folders: vidrec's own first.
    """
    paths = [quoted(f"file://{path.absolute()}") for path in folders[1:]]
    return [f"{_KEY}=[{','.join(paths)}]"] if paths else []


def without_folders(overrides: Sequence[str]) -> list[str]:
    """The overrides that do not say where configurations are."""
    return [override for override in overrides if override.lstrip("+").partition("=")[0] != _KEY]


def current_folders(overrides: Sequence[str] = ()) -> list[Path]:
    """The folders that a configuration was composed from.

    overrides: of the configuration; without a search path among them, those of the running command.
    """
    if HydraConfig.initialized() and without_folders(overrides) == list(overrides):
        sources = HydraConfig.get().runtime.config_sources
        given = [Path(source.path) for source in sources if source.schema == "file"]
        return [Path(conf_dir()), *(path for path in given if path != Path(conf_dir()))]
    return [Path(conf_dir()), *named_folders(overrides)]


def used_folders(config_name: str, overrides: Sequence[str]) -> list[str]:
    """The folders of the user that the chosen files of a command are in."""
    folders = current_folders(overrides)
    chosen = [*without_folders(overrides), *search_path(folders)]
    names = [file.config_path for file in chosen_files(config_name, chosen)]
    return [
        str(folder)
        for folder in folders[1:]
        if any((folder / f"{name}.yaml").is_file() for name in names)
    ]


def _local(place: str) -> Path:
    """The folder of an entry of Hydra's search path: a path, `file://PATH` or `pkg://PACKAGE`."""
    scheme, separator, rest = place.partition("://")
    if not separator or scheme == "file":
        return Path(rest or place).expanduser().absolute()
    spec = find_spec(rest.replace("/", ".")) if scheme == "pkg" else None
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"{_KEY}: there is no folder {place}")
    return Path(spec.submodule_search_locations[0])


def _usable(folder: Path, why: str) -> Path:
    if not folder.is_dir():
        raise ConfigError(
            f"{why}{folder}, but there is no such folder; pass the one that has them now: "
            "--config-dir DIR"
            if why
            else f"--config-dir {folder}: there is no such folder"
        )
    if not why and not _has_groups(folder):
        inside = folder / "conf"
        hint = f"; did you mean {inside}?" if _has_groups(inside) else ""
        raise ConfigError(
            f"--config-dir {folder}: it has none of the folders {', '.join(_groups())}{hint}"
        )
    return folder


def _has_groups(folder: Path) -> bool:
    return any((folder / group).is_dir() for group in _groups())


def _groups() -> list[str]:
    return sorted(path.name for path in Path(conf_dir()).iterdir() if path.is_dir())


def _refuse_same_names(folders: Sequence[Path]) -> None:
    for i, folder in enumerate(folders):
        for name in _files(folder) if i else ():
            for other in folders[:i]:
                hidden, first = folder / name, other / name
                if first.is_file() and first.read_bytes() != hidden.read_bytes():
                    owner = "vidrec has" if other == folders[0] else f"{other} has"
                    raise ConfigError(
                        f"{hidden} would never be read: {owner} a {name} too; give the file "
                        "another name"
                    )


def _files(folder: Path) -> Iterator[str]:
    """The configurations in the groups of a folder, as paths from there."""
    for group in _groups():
        yield from (str(path.relative_to(folder)) for path in (folder / group).rglob("*.yaml"))
