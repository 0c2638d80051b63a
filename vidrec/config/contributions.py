"""What each chosen file and each override gives, in the order in which Hydra merges them.

The composed configuration no longer tells where a value came from, nor what it replaced.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser

from vidrec.config.arguments import is_key
from vidrec.config.compose import chosen_files, conf_dir
from vidrec.config.conf_folders import current_folders, search_path, without_folders

KeyPath = tuple[str, ...]

REPLACE = "_replace_"  # the key of a mapping that says: none of what was there before stays


@dataclass(frozen=True)
class Contribution:
    """`content`, as written, at `path` of the configuration.

    origin: the file or the override, as a message names it. is_override: of the command line.
    is_new: with the plus that says so.
    """

    origin: str
    path: KeyPath
    content: object
    is_override: bool = False
    is_new: bool = False

    def nodes(self) -> Iterator[tuple[KeyPath, object]]:
        """(path, value) of all that it writes: mappings, and each value in them."""
        yield from _nodes(self.path, self.content)

    def leaves(self) -> Iterator[KeyPath]:
        """The paths of all single values."""
        for path, value in self.nodes():
            if not (isinstance(value, dict) and value) and path[-1] != REPLACE:
                yield path


def contributions(config_name: str, overrides: Sequence[str]) -> list[Contribution]:
    """Those of the files that conf/{config_name}.yaml and `overrides` choose, then `overrides`."""
    return [*of_files(config_name, overrides), *of_overrides(overrides)]


def origins(given: Sequence[Contribution]) -> dict[KeyPath, tuple[int, str]]:
    """The last that writes each path: its position among `given`, and its name."""
    return {
        path: (position, contribution.origin)
        for position, contribution in enumerate(given)
        for path, _ in contribution.nodes()
    }


def of_files(config_name: str, overrides: Sequence[str]) -> Iterator[Contribution]:
    """What the chosen files give."""
    folders = current_folders(overrides)
    if HydraConfig.initialized():
        overrides = [*overrides, *HydraConfig.get().overrides.hydra]
    for default in chosen_files(config_name, [*without_folders(overrides), *search_path(folders)]):
        package = tuple(default.package.split(".")) if default.package else ()
        for folder in folders:
            file = folder / f"{default.config_path}.yaml"
            if file.is_file():
                own = folder == Path(conf_dir())
                origin = f"conf/{default.config_path}.yaml" if own else str(file)
                yield Contribution(origin, package, yaml.safe_load(file.read_text()))
                break


def of_overrides(overrides: Sequence[str]) -> Iterator[Contribution]:
    """What the values of the command line give; choices of files and deletions give nothing."""
    plain = [override for override in overrides if is_key(override)]
    parsed = OverridesParser.create().parse_overrides(plain)
    for text, override in zip(plain, parsed, strict=True):
        path = tuple(override.get_key_element().lstrip("+").split("."))
        origin, is_new = text.lstrip("+"), override.is_add()
        yield Contribution(origin, path, override.value(), is_override=True, is_new=is_new)


def _nodes(path: KeyPath, value: object) -> Iterator[tuple[KeyPath, object]]:
    if path:
        yield path, value
    if isinstance(value, dict):
        for key, child in value.items():
            if path or key not in ("defaults", "hydra"):
                yield from _nodes((*path, str(key)), child)
