"""Whether values of yaml files fit the annotations of Python functions."""

import collections.abc
import enum
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin


def misfit(path: str, value: object, annotation: Any) -> Iterator[str]:
    """A sentence where the value does not fit."""
    if fits(value, annotation):
        return
    hint = ""
    if isinstance(value, str) and value.strip()[:1] in ("[", "{", "("):
        hint = "; it is quoted and so became text: write it without the inner quotes"
    name = getattr(annotation, "__name__", None) if inspect.isclass(annotation) else None
    wanted = name or re.sub(r"\b(typing|collections\.abc)\.", "", str(annotation))
    yield f"{path}: {value!r} is not {wanted}{hint}"


def fits(value: object, annotation: Any) -> bool:
    """Whether a plain yaml value fits an annotation; unknown kinds of annotations pass.

    >>> fits([1, 2], list[float]), fits("[1, 2]", list[float]), fits(None, int | None)
    (True, False, True)
    """
    if annotation is Any or annotation is inspect.Parameter.empty:
        return True
    if isinstance(value, Mapping) and "_target_" in value:
        return True  # what it makes is not known here
    if annotation is None or annotation is type(None):
        return value is None
    if get_origin(annotation) is not None:
        return _fits_generic(value, get_origin(annotation), get_args(annotation))
    return _fits_class(value, annotation) if inspect.isclass(annotation) else True


def _fits_generic(value: object, origin: Any, arguments: tuple[Any, ...]) -> bool:
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, option) for option in arguments)
    if origin is Literal:
        return value in arguments
    if origin in (list, tuple, Sequence, collections.abc.Iterable, set):
        return isinstance(value, list) and _fits_items(value, origin, arguments)
    if origin in (dict, Mapping, collections.abc.MutableMapping):
        return isinstance(value, Mapping) and all(fits(v, arguments[1]) for v in value.values())
    return True


def _fits_items(values: list[Any], origin: Any, arguments: tuple[Any, ...]) -> bool:
    items = [argument for argument in arguments if argument is not Ellipsis]
    if origin is tuple and Ellipsis not in arguments and items:
        return len(values) == len(items) and all(map(fits, values, items))
    return not items or all(fits(value, items[0]) for value in values)


def _fits_class(value: object, wanted: type) -> bool:
    if wanted is bool or wanted is str:
        return isinstance(value, wanted)
    if wanted in (int, float):
        numbers = int if wanted is int else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool)
    if wanted in (list, tuple):
        return isinstance(value, list | tuple)
    if wanted is dict or typing.is_typeddict(wanted):
        return isinstance(value, Mapping)
    if issubclass(wanted, enum.Enum):
        return isinstance(value, wanted) or value in [member.value for member in wanted]
    if getattr(wanted, "_is_protocol", False):
        return False  # a `_target_` makes such objects
    return isinstance(value, (str, wanted))  # text: a path, or the like
