"""A composed configuration of vidrec as written: what it refers to, and what it comes to."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from vidrec.config.compose import composed, register

ABSENT = "(absent)"
# Values that something reads; the others are there for these to refer to.
PLACES = (
    "model.net", "model.loss", "model.weights", "data.train", "data.val", "data.test",
    "data.metric", "schedule", "runtime",
)  # fmt: skip
_REFERENCE = re.compile(r"\$\{(\w[\w.]*)\}")
_NAMES = re.compile(r"\$\{([\w.]+)\}")
# How many frames of a sample are seen jointly follows from the clip, the records that a metric
# scores are those of its dataset.
_FOLLOWING = re.compile(r"data\.(\w+\.frames_per_view|metric\.records)(\.|$)")


def compose_as_written(overrides: Sequence[str]) -> DictConfig:
    """What `python train.py` composes, before it is checked and with its references."""
    register()
    cfg = composed("train", overrides)
    OmegaConf.set_struct(cfg, False)
    return cfg


def places(cfg: DictConfig) -> dict[str, Any]:
    """Path -> value of all single values that something reads."""
    found: dict[str, Any] = {}
    for path in PLACES:
        found |= dict(_flat(value_at(cfg, path), path))
    return found


def places_of(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a configuration as plain mappings."""
    found: dict[str, Any] = {}
    for path in PLACES:
        value: Any = plain
        for key in path.split("."):
            value = value[key]
        found |= dict(_flat(value, path))
    return found


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if _FOLLOWING.match(path):
        return
    if isinstance(value, Mapping) and value:
        for key, child in value.items():
            yield from _flat(child, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for i, child in enumerate(value):
            yield from _flat(child, f"{path}.{i}")
    else:
        yield path, value


def value_at(cfg: DictConfig, path: str) -> Any:
    """The value of a path; ABSENT if there is none."""
    value = OmegaConf.select(cfg, path, default=ABSENT)
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def referred_to(cfg: DictConfig) -> set[str]:
    """The names that values refer to; of relative ones the last part."""
    text = OmegaConf.to_yaml(cfg)
    return {name.rsplit(".", 1)[-1] if name[0] == "." else name for name in _NAMES.findall(text)}


def candidates(cfg: DictConfig, path: str, value: Any) -> list[tuple[str, Any]]:
    """(key, value) pairs each of which gives `path` its value, those that most refer to first.

    The last ones replace a reference to a whole mapping by a copy of that.
    """
    keys: list[tuple[str, Any]] = []
    copies: list[tuple[str, Any]] = []
    parts = path.split(".")
    while True:
        alias = _alias(cfg, parts)
        if alias is None:
            break
        place, target = alias
        copied = OmegaConf.select(cfg, target, default=None)
        if isinstance(copied, DictConfig):
            content = OmegaConf.create(OmegaConf.to_container(copied, resolve=False))
            OmegaConf.update(content, ".".join(parts[place:]), value, force_add=True)
            copies.append((".".join(parts[:place]), OmegaConf.to_container(content, resolve=False)))
        parts = [*target.split("."), *parts[place:]]
    key = ".".join(parts)
    written = _written(cfg, parts)
    if isinstance(written, str):
        for name, part in _solved(cfg, written, value):
            keys.extend(candidates(cfg, name, part))
    return [*keys, (key, value), *copies]


def _alias(cfg: DictConfig, parts: list[str]) -> tuple[int, str] | None:
    """The first mapping or list on the way that is a reference: (its place, what it refers to)."""
    node: Any = cfg
    for i, part in enumerate(parts):
        written = _written(cfg, parts[:i])
        if i and isinstance(written, str) and (found := _REFERENCE.fullmatch(written)):
            return i, found[1]
        if not isinstance(node, DictConfig | ListConfig):
            return None
        node = _child(node, part)
    return None


def _written(cfg: DictConfig, parts: list[str]) -> Any:
    """What stands at a path: the text of a reference, or the value."""
    node: Any = cfg
    for part in parts:
        if not isinstance(node, DictConfig | ListConfig):
            return None
        node = _child(node, part)
    return node._value() if hasattr(node, "_value") else None


def _child(node: DictConfig | ListConfig, part: str) -> Any:
    if node._is_none() or node._is_missing() or node._is_interpolation():
        return None
    if isinstance(node, ListConfig):
        return node._get_node(int(part)) if part.isdigit() and int(part) < len(node) else None
    return node._get_node(part)


def _solved(cfg: DictConfig, written: str, value: Any) -> Iterator[tuple[str, Any]]:
    """(name, value) of each reference in a text that alone can make it `value`."""
    if whole := _REFERENCE.fullmatch(written):
        yield whole[1], value
        return
    for name in dict.fromkeys(_REFERENCE.findall(written)):
        if not isinstance(value, str):
            return
        pattern, group = "", f"(?P<{name.replace('.', '_')}>.+)"
        pieces = re.split(r"(\$\{\w[\w.]*\})", written)
        for piece in pieces:
            found = _REFERENCE.fullmatch(piece)
            if found is None:
                pattern += re.escape(piece)
            elif found[1] != name:
                pattern += re.escape(str(OmegaConf.select(cfg, found[1])))
            else:
                pattern += group
                group = f"(?P={name.replace('.', '_')})"
        if match := re.fullmatch(pattern, value):
            yield name, match[1]
