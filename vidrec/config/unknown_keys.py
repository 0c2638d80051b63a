"""Keys that no dataclass has, and values that are missing."""

import dataclasses
import typing
from collections.abc import Iterator, Mapping

from omegaconf import DictConfig, ListConfig, Node, OmegaConf

from vidrec.config.full_keys import instead
from vidrec.config.recipe_diff import flat
from vidrec.config.schema import DATA, MODELS, DataConf, ModelConf
from vidrec.errors import did_you_mean, what_there_is


def unknown_keys(cfg: DictConfig, schema: type) -> Iterator[tuple[str, str]]:
    """(full path, what is wrong) of every key that its dataclass lacks.

    `+key=value` gets such keys past Hydra. What is below a mapping without a dataclass is left to
    the other checks.
    """
    found = list(_below(cfg, schema, ""))
    if not found:
        return
    values = flat(OmegaConf.to_container(cfg, resolve=False))
    starts = tuple(f"{path}." for path, _, _ in found)
    unknown = {path for path, _, _ in found}
    known = {
        leaf: value
        for leaf, value in values.items()
        if leaf not in unknown and not leaf.startswith(starts)
    }
    for path, key, owner in found:
        own = {leaf: values[leaf] for leaf in values if f"{leaf}.".startswith(f"{path}.")}
        yield path, _no_such_key(key, owner, own, known)


def _below(cfg: DictConfig, schema: type, path: str) -> Iterator[tuple[str, str, type]]:
    """The path of every unknown key, its name and the dataclass that lacks it."""
    fields = typing.get_type_hints(schema)
    for key in map(str, cfg):
        # The node itself, so that interpolations and missing values are left for later.
        node = cfg._get_node(key)
        if key not in fields:
            yield f"{path}{key}", key, schema
        elif isinstance(node, DictConfig) and not (node._is_none() or node._is_missing()):
            kind = OmegaConf.get_type(node)
            if dataclasses.is_dataclass(kind) and not node._is_interpolation():
                yield from _below(node, kind, f"{path}{key}.")


def _no_such_key(
    key: str, schema: type, given: Mapping[str, object], known: Mapping[str, object]
) -> str:
    """What is wrong: the key is misspelt, or elsewhere, or it is one of other tasks.

    given: full path -> value of all values at or below the key; known: of all others.
    """
    fields = list(typing.get_type_hints(schema))
    having = [other.task for other in _siblings(schema) if key in typing.get_type_hints(other)]
    if having:
        tasks = " and ".join(dict.fromkeys(having))
        return f"there is no such key here, only for {tasks}; {what_there_is(fields)}"
    misspelt = did_you_mean(key, fields)
    for near in (False, True):
        written = ((leaf, _as_typed(value), known) for leaf, value in given.items())
        answers = dict.fromkeys(instead(*one, near=near) for one in written)
        if all(answers):
            return f"there is no such key; {'; '.join(answers)}"
        if misspelt.startswith("did you mean"):
            break
    return f"there is no such key; {misspelt}"


def _as_typed(value: object) -> str:
    """A value as it is written on the command line."""
    words = {None: "null", True: "true", False: "false"}
    is_word = value is None or isinstance(value, bool)
    return words[value] if is_word else str(value).replace(", ", ",")  # type: ignore[index]


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
