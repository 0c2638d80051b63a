"""Finding the named tensors in a checkpoint."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vidrec.weights.convert.prefixes import is_average

# Ours, MMAction2's and most others', PySlowFast's and pytorchvideo's, VideoMAE's, caffe2's.
_CONTAINERS = (
    "net",
    "state_dict",
    "model_state",
    "model_state_dict",
    "model",
    "module",
    "encoder",
    "blobs",
)
_DEPTH = 3  # mappings in mappings
_LEAST = 0.1  # of the tensors of the largest: fewer are not those of another network
_MAX_FOUND = 8


class Found(NamedTuple):
    """Named tensors of a checkpoint, and the keys that lead to them: `state_dict`, `ema/net`."""

    place: str
    tensors: dict[str, Tensor]


def find_states(content: object, averaged: bool = True) -> list[Found]:
    """All sets of named tensors in an opened checkpoint, the preferred one first.

    averaged: prefer moving averages of the weights. An average may lack buffers, which are then
    taken from the weights themselves.

    >>> weights = {"fc.weight": torch.zeros(2)}
    >>> found = find_states({"epoch": 3, "state_dict": weights, "state_dict_ema": weights})
    >>> [place for place, _ in found]
    ['state_dict_ema', 'state_dict']
    """
    found = sorted(_walk(content, ()), key=_rank)
    most = max((len(tensors) for _, tensors in found), default=0)
    states = [Found("/".join(p), t) for p, t in found if len(t) >= _LEAST * most][:_MAX_FOUND]
    plain = [state for state in states if not is_average(state.place)]
    means = [_completed(s, plain) for s in states if is_average(s.place)]
    return [*means, *plain] if averaged else [*plain, *means]


def find_tensors(content: object, averaged: bool = True) -> dict[str, Tensor]:
    """The named tensors of an opened checkpoint; empty if there are none. See `find_states`."""
    found = find_states(content, averaged)
    return found[0].tensors if found else {}


def _walk(content: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict]]:
    if not isinstance(content, Mapping) or len(path) == _DEPTH:
        return
    tensors = {}
    for name, value in content.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            value = torch.from_numpy(value.astype(value.dtype.newbyteorder("=")))
        if isinstance(value, Tensor) and isinstance(name, str):
            tensors[name] = value.detach()
        yield from _walk(value, (*path, str(name)))
    if tensors:
        yield path, tensors


def _rank(found: tuple[tuple[str, ...], dict[str, Tensor]]) -> tuple[bool, list[int], int]:
    """Known names of containers first, in their order, then the largest."""
    path, tensors = found
    known = bool(path) and all(key in _CONTAINERS for key in path)
    order = [_CONTAINERS.index(key) for key in path] if known else []
    return not known, order, -len(tensors)


def _completed(mean: Found, plain: list[Found]) -> Found:
    inside = {name.removeprefix("module."): tensor for name, tensor in mean.tensors.items()}
    for _, tensors in plain:
        if tensors.keys() & inside.keys():
            return Found(mean.place, tensors | inside)
    return mean
