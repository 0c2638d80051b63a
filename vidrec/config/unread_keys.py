"""Keys that somebody set and that nothing reads.

Some keys exist for the interpolations of the yaml files alone (`vidrec.config.fields.referenced`):
`data.fold` has an effect only where the path of a list contains `${data.fold}`. Which of them are
read follows from the configuration itself: starting from the values that code reads, and following
every interpolation in them.
"""

import dataclasses
import re
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from vidrec.config import fields
from vidrec.config.arguments import is_key
from vidrec.config.conf_folders import current_folders
from vidrec.config.contributions import Contribution, KeyPath, of_overrides
from vidrec.errors import did_you_mean

# The innermost `${a.b}`, `${.sibling}` or `${..of_the_parent}`; calls of resolvers have a colon.
_REFERENCE = re.compile(r"\$\{\s*(\.*)([^{}:$]+?)\s*\}")


def unread_keys(
    cfg: DictConfig, overrides: Sequence[str], skip: Container[str] = ()
) -> Iterator[str]:
    """A sentence for every key that the command line or the experiment sets and nothing reads.

    cfg: as composed, interpolations included. overrides: of the command line. skip: paths that
    are reported already.
    """
    read = read_paths(cfg)
    used = read | {path[:length] for path in read for length in range(1, len(path))}
    data = OmegaConf.select(cfg, "data.name")
    for path in keys_set(overrides):
        starts = [path[:length] for length in range(1, len(path) + 1)]
        unread = next((start for start in starts if start not in used), None)
        if unread is None or any(".".join(start) in skip for start in starts):
            continue
        beside = sorted(key for *before, key in used if tuple(before) == unread[:-1])
        hint = did_you_mean(unread[-1], beside)
        yield f"{'.'.join(path)}: nothing reads it with data={data}; {hint}"


def read_paths(cfg: DictConfig) -> set[KeyPath]:
    """The paths of all values that code reads, directly or by way of interpolations."""
    reader = _Reader(OmegaConf.to_container(cfg, resolve=False))
    for path in _read_by_code(cfg, ()):
        reader.read(path)
    return reader.found


def _read_by_code(cfg: DictConfig, prefix: KeyPath) -> Iterator[KeyPath]:
    """The fields of the dataclasses, apart from those that exist only to be referred to."""
    schema = OmegaConf.get_type(cfg)
    assert dataclasses.is_dataclass(schema)
    for field in dataclasses.fields(schema):
        if fields.is_referenced(field):
            continue
        node = cfg._get_node(field.name)
        if isinstance(node, DictConfig) and dataclasses.is_dataclass(OmegaConf.get_type(node)):
            yield from _read_by_code(node, (*prefix, field.name))
        else:
            yield (*prefix, field.name)


class _Reader:
    """Follows values from one to the next; `found` has the paths of those that were seen."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree
        self.found: set[KeyPath] = set()

    def read(self, path: KeyPath) -> None:
        """See the value at `path`, all that is inside of it, and all that it refers to."""
        path = self._follow(path)
        if path in self.found:
            return
        self.found.add(path)
        node = self._at(path)
        if isinstance(node, dict):
            for key in node:
                self.read((*path, str(key)))
        elif isinstance(node, list):
            for i in range(len(node)):
                self.read((*path, str(i)))
        elif isinstance(node, str):
            for reference in _references(node, path):
                self.read(reference)

    def _follow(self, path: KeyPath) -> KeyPath:
        """The same path where no mapping on the way is only a reference to another one."""
        for length in range(1, len(path)):
            node = self._at(path[:length])
            if isinstance(node, str) and (target := next(_references(node, path[:length]), None)):
                self.found.add(path[:length])
                return self._follow((*target, *path[length:]))
        return path

    def _at(self, path: KeyPath) -> Any:
        """The value at a path; None where there is none."""
        node = self.tree
        for key in path:
            if isinstance(node, list) and key.isdigit() and int(key) < len(node):
                node = node[int(key)]
            elif isinstance(node, dict):
                # Keys of a mapping may be numbers, as in a map of labels.
                node = next((value for name, value in node.items() if str(name) == key), None)
            else:
                return None
        return node


def _references(text: str, path: KeyPath) -> Iterator[KeyPath]:
    """The absolute paths that the value `text` at `path` refers to."""
    for dots, name in _REFERENCE.findall(text):
        start = path[: len(path) - len(dots)] if dots else ()
        yield (*start, *re.split(r"[.\[\]]+", name.strip("]")))


def keys_set(overrides: Sequence[str]) -> Iterator[KeyPath]:
    """The path of every single value that the command line or its experiment sets.

    What the experiment sets counts only where the command line keeps its model and data.
    """
    plain = [override for override in overrides if is_key(override)]
    for given in of_overrides(overrides):
        yield from given.leaves()
    chosen = dict(o.lstrip("+").split("=", 1) for o in overrides if o not in plain and "=" in o)
    groups = {re.split("[/@]", choice)[0] for choice in chosen}
    if "experiment" in groups and not groups & {"model", "data"}:
        name = chosen["experiment"].strip("'\"")
        for folder in current_folders(overrides):
            file = folder / "experiment" / f"{name}.yaml"
            yield from Contribution(file.name, (), _written(file)).leaves()


def _written(path: Path) -> dict[str, Any]:
    """The keys of a file of conf/experiment itself, not those of its parents."""
    if not path.is_file():  # in another folder
        return {}
    content = yaml.safe_load(path.read_text()) or {}
    return {key: value for key, value in content.items() if key not in ("defaults", "hydra")}
