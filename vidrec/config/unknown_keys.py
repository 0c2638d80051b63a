"""Keys that no dataclass has, and values that are missing."""

import dataclasses
import typing
from collections.abc import Iterator

from omegaconf import DictConfig, ListConfig, Node, OmegaConf

from vidrec.config.schema import DATA, MODELS, DataConf, ModelConf
from vidrec.errors import did_you_mean, what_there_is


def unknown_keys(cfg: DictConfig, schema: type, path: str = "") -> Iterator[tuple[str, str]]:
    """(full path, what is wrong) of every key that its dataclass lacks.

    `+key=value` gets such keys past Hydra. What is below a mapping without a dataclass is left to
    the other checks.
    """
    fields = typing.get_type_hints(schema)
    for key in map(str, cfg):
        # The node itself, so that interpolations and missing values are left for later.
        node = cfg._get_node(key)
        if key not in fields:
            yield f"{path}{key}", _no_such_key(key, schema)
        elif isinstance(node, DictConfig) and not (node._is_none() or node._is_missing()):
            kind = OmegaConf.get_type(node)
            if dataclasses.is_dataclass(kind) and not node._is_interpolation():
                yield from unknown_keys(node, kind, f"{path}{key}.")


def _no_such_key(key: str, schema: type) -> str:
    """What is wrong: the key is misspelt, or it is one of other tasks' models or data."""
    fields = list(typing.get_type_hints(schema))
    having = [other.task for other in _siblings(schema) if key in typing.get_type_hints(other)]
    if not having:
        return f"there is no such key; {did_you_mean(key, fields)}"
    tasks = " and ".join(dict.fromkeys(having))
    return f"there is no such key here, only for {tasks}; {what_there_is(fields)}"


def _siblings(schema: type) -> list[type[ModelConf | DataConf]]:
    """The other classes for models or data; schema: one of them, or else there are none."""
    for group in (MODELS, DATA):
        if schema in group:
            return [other for other in group if other is not schema]
    return []


def missing_values(node: DictConfig | ListConfig, path: str = "") -> Iterator[str]:
    """Paths of the values that are still ???, apart from interpolations."""
    keys = list(node) if isinstance(node, DictConfig) else range(len(node))
    for key in keys:
        child = node._get_node(key)
        if not isinstance(child, Node) or child._is_interpolation():
            continue
        if OmegaConf.is_missing(node, key):
            yield f"{path}{key!s}"
        elif isinstance(child, DictConfig | ListConfig) and not child._is_none():
            yield from missing_values(child, f"{path}{key!s}.")
