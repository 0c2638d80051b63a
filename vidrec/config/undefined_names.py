"""Names that were set in a mapping of named entries and that no file gives anything to.

Mappings with a dataclass or a `_target_` have an owner that knows their keys. In the others, such
as the steps of a pipeline or the phases of the learning rate, any name is possible: a misspelt
one would be a second entry, or would drop nothing.
"""

import dataclasses
from collections.abc import Iterator, Sequence

from omegaconf import DictConfig, Node, OmegaConf

from vidrec.config import fields
from vidrec.config.contributions import KeyPath, of_files, of_overrides
from vidrec.errors import did_you_mean


def undefined_names(cfg: DictConfig, config_name: str, overrides: Sequence[str]) -> Iterator[str]:
    """A sentence for every such name.

    On the command line `+` says that a name is new. A file may give a new name anything but null,
    which drops an entry.

    cfg: as composed from conf/{config_name}.yaml and `overrides`, those of the command line.
    """
    paths: dict[bool, set[KeyPath]] = {True: set(), False: set()}  # whether with a plus
    for given in of_overrides(overrides):
        paths[given.is_new] |= {start for leaf in given.leaves() for start in _starts(leaf)}
    dropped = set(_nulls(cfg, ()))
    suspects = {path for path in paths[False] | dropped if _is_named(cfg, path[:-1])}
    defined = (_defined(config_name, overrides) if suspects else set()) | paths[True]
    wrong = {path for path in suspects - defined if _is_closed(cfg, path[:-1], defined)}
    for path in sorted(path for path in wrong if not wrong & _starts(path[:-1])):
        where, name = ".".join(path), path[-1]
        beside = sorted({other[-1] for other in defined if other[:-1] == path[:-1]})
        hint = did_you_mean(name, beside)
        if path in dropped:
            yield f"{where}=null drops nothing: no file defines '{name}'; {hint}"
        else:
            yield f"{where}: no file defines '{name}'; {hint} (+{where}=... if it is new)"


def _starts(path: KeyPath) -> set[KeyPath]:
    return {path[:length] for length in range(1, len(path) + 1)}


def _at(cfg: DictConfig, path: KeyPath) -> Node | None:
    """The node at a path; None where there is none, or where it is a reference."""
    node: object = cfg
    for key in path:
        if not isinstance(node, DictConfig) or node._is_none() or node._is_interpolation():
            return None
        # Keys of a mapping may be numbers, as in a map of labels.
        node = next((node._get_node(name) for name in node if str(name) == key), None)
    return node if isinstance(node, Node) else None


def _is_named(cfg: DictConfig, path: KeyPath) -> bool:
    """Whether there is a mapping at the path that has no owner."""
    node = _at(cfg, path)
    return (
        isinstance(node, DictConfig)
        and not (node._is_none() or node._is_missing() or node._is_interpolation())
        and not dataclasses.is_dataclass(OmegaConf.get_type(node))
        and "_target_" not in node
        and not _is_owned(cfg, path)
    )


def _is_owned(cfg: DictConfig, path: KeyPath) -> bool:
    """Whether the mapping is a rule for parameters, or must have the `_target_` that it lacks."""
    schema = OmegaConf.get_type(_at(cfg, path[:-1]))
    made = dataclasses.is_dataclass(schema) and any(
        field.name == path[-1] and fields.is_made(field) for field in dataclasses.fields(schema)
    )
    return made or path[:-1] == ("schedule", "param_groups")


def _is_closed(cfg: DictConfig, mapping: KeyPath, defined: set[KeyPath]) -> bool:
    """Whether new names need a plus: a mapping that a class takes as an argument is free as long as
    no file writes it.
    """
    around = [_at(cfg, start) for start in _starts(mapping)]
    is_argument = any(isinstance(node, DictConfig) and "_target_" in node for node in around)
    return not is_argument or any(path[:-1] == mapping for path in defined)


def _nulls(cfg: DictConfig, path: KeyPath) -> Iterator[KeyPath]:
    """The paths of the names that are null in mappings without an owner."""
    mapping = _at(cfg, path)
    if not isinstance(mapping, DictConfig) or mapping._is_interpolation() or mapping._is_missing():
        return
    for key in mapping:
        child, where = mapping._get_node(key), (*path, str(key))
        if isinstance(child, DictConfig) and not child._is_none():
            yield from _nulls(cfg, where)
        elif isinstance(child, Node) and child._is_none() and _is_named(cfg, path):
            yield where


def _defined(config_name: str, overrides: Sequence[str]) -> set[KeyPath]:
    """The paths that any of the chosen files gives a value other than null."""
    nodes = (node for given in of_files(config_name, overrides) for node in given.nodes())
    return {path for path, value in nodes if value is not None}
