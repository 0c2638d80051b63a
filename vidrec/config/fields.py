"""What a field of the configuration's dataclasses says about itself besides its type and default.

A field is either read by code, or it exists so that the yaml files can refer to it
(`${data.root}`). The second kind is declared here with `referenced`: setting such a key has an
effect only where something refers to it, and `unread_keys` refuses it elsewhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import Field, field
from math import inf
from typing import Any

from omegaconf import MISSING

AnyField = Field[Any]


def limited(default: object, low: float, high: float = inf, *, is_referenced: bool = False) -> Any:
    """A number within [low, high], or None where its type allows that."""
    metadata = {"limits": (low, high), "is_referenced": is_referenced}
    return field(default=default, metadata=metadata)


def one_of(default: object, choices: Sequence[str]) -> Any:
    """A word out of a few."""
    return field(default=default, metadata={"choices": tuple(choices)})


def fixed(value: object) -> Any:
    """A fact that the class of the configuration states; it cannot be set to anything else."""
    return one_of(value, [str(value)])


def referenced(default: object = None, *, factory: Callable[[], object] | None = None) -> Any:
    """A value that no code reads: it exists for the interpolations of the yaml files."""
    metadata = {"is_referenced": True}
    if factory is not None:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


def made(default: object = MISSING, *, is_referenced: bool = False) -> Any:
    """A mapping whose `_target_` makes an object; or None where that is the default."""
    metadata = {"is_made": True, "is_referenced": is_referenced}
    return field(default=default, metadata=metadata)


def limits(of: AnyField) -> tuple[float, float] | None:
    """The smallest and largest valid number."""
    return of.metadata.get("limits")


def choices(of: AnyField) -> tuple[str, ...] | None:
    """The valid words."""
    return of.metadata.get("choices")


def is_made(of: AnyField) -> bool:
    """Whether the value is a mapping with a `_target_`."""
    return bool(of.metadata.get("is_made", False))


def is_referenced(of: AnyField) -> bool:
    """Whether only interpolations read it."""
    return bool(of.metadata.get("is_referenced", False))
