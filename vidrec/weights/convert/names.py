"""Types and functions that converters share: renaming of tensors, by rules."""

import re
from collections.abc import Callable, Mapping

from torch import Tensor

State = Mapping[str, Tensor]
Shapes = Mapping[str, tuple[int, ...]]
Converter = Callable[[State, Shapes], State]
Rule = tuple[str, str]  # a regular expression and its replacement


def renamed(state: State, rename: Callable[[str], str]) -> State:
    """Renames every tensor; empty if two would get the same name, which means the wrong format."""
    tensors = {rename(name): tensor for name, tensor in state.items()}
    return tensors if len(tensors) == len(state) else {}


def substituted(state: State, *rules: Rule) -> State:
    """Applies to every name the first rule that matches."""

    def rename(name: str) -> str:
        for pattern, replacement in rules:
            changed, hits = re.subn(pattern, replacement, name)
            if hits:
                return changed
        return name

    return renamed(state, rename)


def pairs(state: State, wanted: Shapes) -> list[tuple[str, Tensor]]:
    """The tensors whose names are wanted."""
    return [(name, tensor) for name, tensor in state.items() if name in wanted]


def named(names: State | Shapes, pattern: str) -> bool:
    """Whether any name has a match of the pattern."""
    return any(re.search(pattern, name) for name in names)
