"""Values on the command line that the type of their field cannot hold.

Hydra would report them with a traceback's words, and with a `++` that nobody typed.
"""

import dataclasses
import enum
import re
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, QuotedString, Sweep
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vidrec.config.arguments import is_short_rate
from vidrec.config.compose import SCHEMAS
from vidrec.config.schema import DATA, MODELS, TrainConf
from vidrec.errors import did_you_mean

# What the value of a key is called elsewhere -> here.
_OTHER_VALUES = {
    ("runtime.precision", "amp"): "fp16",
    ("runtime.precision", "mixed"): "fp16",
    ("runtime.precision", "float16"): "fp16",
    ("runtime.precision", "half"): "fp16",
    ("runtime.precision", "16-mixed"): "fp16",
    ("runtime.precision", "bfloat16"): "bf16",
    ("runtime.precision", "float32"): "fp32",
    ("runtime.precision", "full"): "fp32",
    ("runtime.dashboard", "false"): "none",
    ("runtime.dashboard", "null"): "none",
    ("runtime.dashboard", "off"): "none",
}
_NO_DASHBOARD = "the dashboard is chosen with runtime.dashboard=wandb, tensorboard or none"
_GROUPS = ("model", "data", "schedule", "runtime")
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def wrong_type(argument: str) -> str | None:
    """What is wrong with the value of a key that a dataclass owns; None for all other arguments.

    >>> wrong_type("schedule.batch_size=four")
    'schedule.batch_size=four is not a whole number'
    """
    key, equals, text = argument.lstrip("+").partition("=")
    kinds = list(_kinds_of(key.split("."))) if equals else []
    if not kinds or text.startswith("${") or is_short_rate(argument):
        return None
    problems = [_wrong(key, text, kind) for kind in kinds]
    return None if None in problems else problems[0]


def is_mapping(key: str) -> bool:
    """Whether a key holds a mapping without a dataclass, such as the phases of a schedule."""
    return dict in {typing.get_origin(kind) for kind in _kinds_of(key.split("."))}


def is_text(key: str) -> bool:
    """Whether a key holds any text, such as a path."""
    kinds = list(_kinds_of(key.split(".")))
    return bool(kinds) and all(str in (kind, *typing.get_args(kind)) for kind in kinds)


def wrong_deletion(argument: str) -> str | None:
    """What is wrong with `~key`, as far as the dataclasses tell; None for all other arguments."""
    key = argument.removeprefix("~").partition("=")[0]
    path = key.split(".")
    if not argument.startswith("~") or "/" in key or len(path) == 1:
        return None
    kinds = list(_kinds_of(path))
    if any(_is_value(kind) for kind in kinds):
        return f"{argument}: {key} always has a value, set it instead: {key}=..."
    if not kinds and path[0] not in _GROUPS and not list(_kinds_of(path[:1])):
        return f"{argument} deletes nothing: there is no {path[0]}, only {', '.join(_GROUPS)}"
    return None


def _is_value(kind: Any) -> bool:
    return kind is not Any and typing.get_origin(kind) is not dict


def _kinds_of(words: Sequence[str]) -> Iterator[Any]:
    """The types of the field at a path, in the schemas of all commands and tasks."""
    first, *rest = words
    if not rest and first in _GROUPS:
        return
    if first in ("model", "data"):
        owners: Sequence[type] = MODELS if first == "model" else DATA
    else:
        owners = [schema for schema in SCHEMAS.values() if issubclass(schema, TrainConf)]
        rest = list(words)
    seen = []
    for owner in owners:
        kind: Any = owner
        for word in rest:
            hints = typing.get_type_hints(kind) if dataclasses.is_dataclass(kind) else {}
            if word not in hints:
                break
            kind = hints[word]
        else:
            if kind not in seen:
                seen.append(kind)
                yield kind


def _wrong(key: str, text: str, kind: Any) -> str | None:
    """What is wrong with a value for a type; None if nothing is."""
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    plain = next(option for option in options if option is not type(None))
    if plain in (Any, str):
        return None  # any text is one
    if not text:
        return f"{key}= has no value: write {key}=..."
    is_list = typing.get_origin(plain) is list
    for value in _values(text):
        if not _fits(value, kind) and not (is_list and _fits([value], kind)):  # a list of one
            return _sentence(key, text, plain)
    return None


def _values(text: str) -> list[object]:
    """What Hydra reads: one value, or each of a sweep; the text where its grammar has none."""
    try:
        value = OverridesParser.create().parse_override(f"key={text}").value()
    except HydraException:
        return [text]
    if isinstance(value, ChoiceSweep):
        return [one.text if isinstance(one, QuotedString) else one for one in value.list]
    return [] if isinstance(value, Sweep) else [value]


def _fits(value: object, kind: Any) -> bool:
    holder = dataclasses.make_dataclass("Holder", [("field", kind, dataclasses.field())])
    try:
        OmegaConf.structured(holder).field = value
    except (OmegaConfBaseException, ValueError):
        return False
    return True


def _sentence(key: str, text: str, kind: Any) -> str:
    if key == "runtime.wandb":
        return f"{key}={text}: {_NO_DASHBOARD}"
    if dataclasses.is_dataclass(kind):
        names = ", ".join(f"{key}.{field.name}" for field in dataclasses.fields(kind)[:4])
        return f"{key} is a mapping, not a value: set its keys, such as {names}"
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        known = [member.name for member in kind]
        other = _OTHER_VALUES.get((key, text.lower()))
        return f"{key}={text}: " + (f"write {key}={other}" if other else did_you_mean(text, known))
    origin = typing.get_origin(kind) or kind
    if origin is dict:
        return (
            f"{key} is a mapping with keys of its own, not {text}: set one of them, {key}.KEY=..."
        )
    if origin is list:
        (item,) = typing.get_args(kind)
        kinds = {int: "whole numbers", float: "numbers"}.get(item, "texts")
        values = re.sub(r"^\((.*)\)$", r"\1", text)
        return f"{key}={text} is not a list of {kinds}: write '{key}=[{values}]'"
    return f"{key}={text} is not {_KINDS.get(kind, kind)}"
