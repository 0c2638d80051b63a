"""Tensors with the right name, but another layout or size."""

import math
import re

import torch
import torch.nn.functional as F
from torch import Tensor

from vidrec.weights.convert.names import Converter, Shapes, State, pairs

_POSITIONS = re.compile(r"\b(pos_embed|pos_embedding|positional_embedding)$")
_BIAS_TABLE = "relative_position_bias_table"


def axes_of_one(state: State, wanted: Shapes) -> State:
    """Adds or removes axes of length 1: 1x1x1 convolutions as linear layers."""
    state = dict(state)
    for name, given in pairs(state, wanted):
        shape = wanted[name]
        if given.shape != shape and _solid(tuple(given.shape)) == _solid(shape):
            state[name] = given.reshape(shape)
    return state


def _solid(shape: tuple[int, ...]) -> list[int]:
    return [length for length in shape if length != 1]


def first_convolution(state: State, wanted: Shapes) -> State:
    """Convolutions over RGB to convolutions over other channels: the mean over RGB, repeated.

    For stacked flow this is the cross-modality initialisation of TSN (Wang et al., ECCV 2016,
    section 3.2).
    """
    state = dict(state)
    for name, given in pairs(state, wanted):
        shape = wanted[name]
        is_rgb = given.ndim >= 4 and len(shape) >= 4 and given.shape[1] == 3 != shape[1]
        if is_rgb and given.shape[0] == shape[0] and given.shape[-2:] == shape[-2:]:
            repeats = [1, shape[1], *[1] * (given.ndim - 2)]
            state[name] = given.mean(dim=1, keepdim=True).repeat(repeats)
    return state


def inflate(state: State, wanted: Shapes) -> State:
    """2D convolutions (O, I, h, w) to 3D ones (O, I, T, h, w): repeated over T and divided by T.

    The output for a clip of identical frames is that for the frame (Carreira and Zisserman, CVPR
    2017, section 2.4.1).
    """
    state = dict(state)
    for name, given in pairs(state, wanted):
        shape = wanted[name]
        if given.ndim == 4 and len(shape) == 5 and given.shape == (*shape[:2], *shape[3:]):
            state[name] = given.unsqueeze(2).repeat(1, 1, shape[2], 1, 1) / shape[2]
    return state


def position_embeddings(state: State, wanted: Shapes) -> State:
    """Resizes absolute position embeddings: square grids bicubically, frames to the nearest.

    A class token before the grid is not changed. `time_embed` is resized as by TimeSformer's
    authors.
    """
    state = dict(state)
    for name, given in pairs(state, wanted):
        shape = wanted[name]
        if given.shape == shape or given.shape[-1] != shape[-1]:
            continue
        if re.search(r"\btime_embed$", name):
            frames = given.reshape(1, -1, shape[-1]).transpose(1, 2)
            state[name] = F.interpolate(frames, shape[-2], mode="nearest").transpose(1, 2)
        elif _POSITIONS.search(name):
            old, new = _grid(given.shape[-2]), _grid(shape[-2])
            if old and new and old[0] == new[0]:
                state[name] = _resized_grid(given.reshape(-1, shape[-1]), *old, new[1]).view(shape)
    return state


def _grid(length: int) -> tuple[int, int] | None:
    """Number of tokens before the grid, and the length of its side."""
    for extra in (0, 1):
        if math.isqrt(length - extra) ** 2 == length - extra:
            return extra, math.isqrt(length - extra)
    return None


def _resized_grid(table: Tensor, extra: int, old: int, new: int) -> Tensor:
    """(extra + old * old, C) -> (extra + new * new, C)."""
    grid = table[extra:].T.reshape(1, -1, old, old)
    grid = F.interpolate(grid.float(), (new, new), mode="bicubic", antialias=True)
    return torch.cat([table[:extra], grid.flatten(2)[0].T.to(table.dtype)])


def distance_tables(state: State, wanted: Shapes) -> State:
    """Resizes MViT's tables of relative positions by linear interpolation."""
    state = dict(state)
    for name, given in pairs(state, wanted):
        shape = wanted[name]
        is_table = re.search(r"\brel_pos_[thw]$", name) and given.ndim == len(shape) == 2
        if is_table and given.shape[0] != shape[0] and given.shape[1] == shape[1]:
            state[name] = F.interpolate(given.T[None], shape[0], mode="linear")[0].T
    return state


def window_tables(state: State, wanted: Shapes) -> State:
    """Resizes Swin's bias tables to other windows: bicubic in space, linear in time.

    The table of an image network is repeated over time (Liu et al., CVPR 2022, section 3.4).
    """
    state = dict(state)
    for name, given in pairs(state, wanted):
        shape = wanted[name]
        if not name.endswith(_BIAS_TABLE) or given.shape == shape or given.shape[1:] != shape[1:]:
            continue
        index = name.replace(_BIAS_TABLE, "relative_position_index")
        positions = state[index].numel() if index in state else 0
        old = _window(given.shape[0], math.isqrt(positions))
        new = _window(shape[0], math.isqrt(math.prod(wanted.get(index, ()))))
        if old is None or new is None:
            continue
        table = given.T.reshape(1, -1, *old)  # (1, heads, time, height, width), of distances
        if old[1:] != new[1:]:
            flat = table.flatten(1, 2)
            table = F.interpolate(flat, new[1:], mode="bicubic").unflatten(1, (-1, old[0]))
        if old[0] != new[0]:
            mode = "nearest" if old[0] == 1 else "trilinear"
            table = F.interpolate(table, new, mode=mode)
        state[name] = table.flatten(2)[0].T
    return state


def _window(num_distances: int, num_positions: int) -> tuple[int, int, int] | None:
    """Number of distances in time, height and width of a window with a square base.

    Without the number of positions the table is taken to be that of an image network.

    >>> _window(169, 0), _window(15 * 13 * 13, 8 * 7 * 7)
    ((1, 13, 13), (15, 13, 13))
    """
    if not num_positions:
        edge = math.isqrt(num_distances)
        return (1, edge, edge) if edge**2 == num_distances else None
    for edge in range(1, math.isqrt(num_positions) + 1):
        time = 2 * (num_positions // edge**2) - 1
        if num_positions % edge**2 == 0 and time * (2 * edge - 1) ** 2 == num_distances:
            return time, 2 * edge - 1, 2 * edge - 1
    return None


# Applied in this order.
SHAPES: tuple[Converter, ...] = (
    axes_of_one,
    first_convolution,
    inflate,
    position_embeddings,
    distance_tables,
    window_tables,
)
