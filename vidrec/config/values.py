"""Values of the command line in the form in which Hydra's grammar takes them.

A value is what is written, whatever characters a path has. Hydra reads some of them as its own
syntax (`a,b`, `x=1`, `f(1)`, `[x]`, `#`), so a value that it would not take as the text that it is
is put in quotes for it. Lists, mappings, numbers, interpolations, quoted values and the functions
of sweeps stay as they are, except where the schema says that the key is a text.
"""

import functools
import re
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from enum import Enum
from os.path import expanduser

from hydra.conf import HydraConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Quote, QuotedString, Sweep
from hydra.errors import HydraException

from vidrec.config import schema
from vidrec.config.arguments import is_key
from vidrec.errors import ConfigError

_COMMANDS = (
    schema.EvaluateConf,
    schema.ExportConf,
    schema.ExtractConf,
    schema.BankConf,
    schema.ProposalsConf,
)
_FUNCTION = re.compile(r"\w+\s*\(.*\)", re.DOTALL)
_CLOSING = {"[": "]", "{": "}", "(": ")"}


class Kind(Enum):
    """What the schema says about a key."""

    text = "text"
    texts = "list of texts"
    values = "list of other values"
    other = "anything"


def readable(arguments: Sequence[str], *, is_sweep: bool = False) -> list[str]:
    """The arguments with the values that need it in quotes, and `~` and `~user` replaced.

    is_sweep: commas outside of quotes and brackets separate the values of a sweep; otherwise they
    belong to the value. Arguments that were readable stay as they are. Raises ConfigError for a
    list or mapping that is not closed, and for several numbers where one belongs.

    >>> readable(["model.weights=runs/a,b=c/best.pt", "model.net.mean=[1,2,3]", "score=a.npz"])
    ["model.weights='runs/a,b=c/best.pt'", 'model.net.mean=[1,2,3]', 'score=[a.npz]']
    >>> readable(["model.weights=a(1).pt,b.pt"], is_sweep=True)
    ["model.weights='a(1).pt',b.pt"]
    """
    return [_readable(argument, is_sweep) for argument in arguments]


def quoted(text: str) -> str:
    """A text in quotes, as a value for Hydra."""
    return QuotedString(text=text, quote=Quote.single).with_quotes()


def _readable(argument: str, is_sweep: bool) -> str:
    key, equals, text = argument.partition("=")
    if not equals or not re.match(r"\+{0,2}[a-zA-Z_]", key):
        return argument  # a flag or a deletion
    name = key.lstrip("+")
    if not is_key(argument) and not name.startswith("hydra."):  # the choice of a group
        return argument if _parsed(text) is not None else f"{key}={quoted(text)}"
    kind = _kind(name)
    values = _elements(text) if is_sweep else [text]
    return f"{key}={','.join(_value(argument, value, kind, is_sweep) for value in values)}"


def _value(argument: str, text: str, kind: Kind, is_sweep: bool) -> str:
    if kind is Kind.text:
        return _text(text, is_sweep)
    if kind is Kind.other:
        return _any(argument, text, is_sweep)
    parsed = _parsed(text)
    if parsed is None and re.fullmatch(r"\[.*\]", text, re.DOTALL):
        elements = [element.strip() for element in _elements(text[1:-1])]
    elif parsed is None or not _is_list(parsed[0], is_sweep):
        elements = [text]
    else:
        return text
    if kind is Kind.texts:
        return f"[{','.join(_text(element, False) for element in elements)}]"
    return f"[{','.join(_any(argument, element, False) for element in elements)}]"


def _is_list(value: object, is_sweep: bool) -> bool:
    """Whether a parsed value may stand for a list: also null, a reference, a function of sweeps."""
    is_function = is_sweep and isinstance(value, Sweep)
    return value is None or isinstance(value, list) or is_function or _is_reference(value)


def _text(text: str, is_sweep: bool) -> str:
    """The value of a key that is a text."""
    text = _with_home(text)
    parsed = _parsed(text)
    if parsed is None:
        return quoted(text)
    (value,) = parsed
    stays = value is None or isinstance(value, QuotedString) or _is_reference(value)
    stays = stays or (is_sweep and isinstance(value, Sweep))
    return text if stays or (str(value) == text and "\\" not in text) else quoted(text)


def _any(argument: str, text: str, is_sweep: bool) -> str:
    """The value of a key that may be anything."""
    text = _with_home(text)
    parsed = _parsed(text)
    if parsed is None:
        if text[:1] in ("[", "{") and "/" not in text:
            what = "list" if text[0] == "[" else "mapping"
            raise ConfigError(
                f"{argument}: {text} is not a {what} that can be read: close every bracket, and "
                "put texts with special characters in quotes"
            )
        return quoted(text)
    (value,) = parsed
    if isinstance(value, ChoiceSweep) and value.simple_form and not is_sweep:
        if not all(isinstance(element, (str, QuotedString)) for element in value.list):
            key = argument.partition("=")[0]
            raise ConfigError(
                f"{argument} are several values: add -m for a run with each of them, or write "
                f"{key}=[{text}] for a list"
            )
        return quoted(text)
    is_other = isinstance(value, str) and not _FUNCTION.fullmatch(text)
    is_other = is_other and (value != text.strip() or "\\" in text)  # which could escape a comma
    return quoted(text) if is_other and not _is_reference(value) else text


def _is_reference(value: object) -> bool:
    return isinstance(value, str) and "${" in value


def _parsed(text: str) -> tuple[object] | None:
    """The value that Hydra's grammar reads; None if it reads none."""
    try:
        override = OverridesParser.create().parse_override(f"key={text}")
    except HydraException:
        return None
    return (override._value,)


def _with_home(text: str) -> str:
    return expanduser(text) if text.startswith("~") else text


def _elements(text: str) -> list[str]:
    """The parts between commas outside of quotes and brackets; any commas if these do not match."""
    parts, closing, quote, start = [], list[str](), "", 0
    for i, character in enumerate(text):
        if quote:
            quote = "" if character == quote and text[i - 1] != "\\" else quote
        elif character in "'\"":
            quote = character
        elif character in _CLOSING:
            closing.append(_CLOSING[character])
        elif closing and character == closing[-1]:
            closing.pop()
        elif character == "," and not closing:
            parts.append(text[start:i])
            start = i + 1
    return text.split(",") if quote or closing else [*parts, text[start:]]


def _kind(key: str) -> Kind:
    """What the schemas say about a key; `other` if they do not say the same."""
    kinds = {_kind_of(annotation) for annotation in _annotations(key)}
    return kinds.pop() if len(kinds) == 1 else Kind.other


def _kind_of(annotation: object) -> Kind:
    options = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    (plain,) = [option for option in options if option is not type(None)][:1] or [None]
    if plain is str:
        return Kind.text
    if typing.get_origin(plain) is list:
        return Kind.texts if typing.get_args(plain) == (str,) else Kind.values
    return Kind.other


def _is_union(annotation: object) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


@functools.cache
def _annotations(key: str) -> tuple[object, ...]:
    """The annotations of a dotted key in the schemas of all commands and tasks."""
    first, *names = key.split(".")
    found: list[typing.Any] = [HydraConf] if first == "hydra" else [*_fields(_COMMANDS, first)]
    for name in names:
        found = [*_fields(found, name)]
    return tuple(found)


def _fields(owners: Sequence[typing.Any], name: str) -> Iterator[typing.Any]:
    kinds: dict[type, tuple[type, ...]] = {
        schema.ModelConf: schema.MODELS,
        schema.DataConf: schema.DATA,
    }
    for owner in owners:
        if isinstance(owner, type) and is_dataclass(owner):
            for cls in kinds.get(owner, (owner,)):
                yield from (hint for field, hint in _hints(cls).items() if field == name)


@functools.cache
def _hints(owner: type) -> dict[str, object]:
    return typing.get_type_hints(owner)
