"""The boundary-matching layer of BMN (Lin et al., ICCV 2019, section 3.3), exact and cheap.

Every proposal (start, duration) samples `num_samples` points of the feature sequence, which a
convolution over the points turns into one vector. Both steps are linear, so the convolution can
come first: it is then applied T times instead of T^2 / 2 times, and its outputs are sampled. Each
proposal is a weighted sum of a few dozen of these outputs, gathered by `embedding_bag`.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

_MOST_POINTS = 100_000_000  # of all proposals; the published network has 960,000


def valid_cells(temporal_dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Durations, minus one, and starts of the proposals within the sequence, row by row."""
    duration, start = np.indices((temporal_dim, temporal_dim)).reshape(2, -1)
    valid = duration + start < temporal_dim
    return duration[valid], start[valid]


def sample_weights(
    temporal_dim: int, num_samples: int, num_samples_per_bin: int, boundary_ratio: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The sampling as a sparse matrix: entries (cell, sample, position) with their weights.

    Each proposal is extended by `boundary_ratio` of its length at both ends and divided evenly into
    `num_samples` bins of `num_samples_per_bin` points. Points are interpolated linearly, with zeros
    outside the sequence. Returns four arrays of the same length, sorted by cell, sample and
    position; weights are float32. Raises ValueError for more points than fit in memory.
    """
    total = temporal_dim**2 * num_samples * num_samples_per_bin
    if not 0 < total <= _MOST_POINTS:
        raise ValueError(
            f"temporal_dim={temporal_dim}, num_samples={num_samples} and num_samples_per_bin="
            f"{num_samples_per_bin} make {total} points of all proposals, "
            f"not 1 to {_MOST_POINTS}"
        )
    duration, start = valid_cells(temporal_dim)
    length = duration + 1.0
    first = start - length * boundary_ratio
    last = start + duration + length * boundary_ratio
    num_points = num_samples * num_samples_per_bin
    point = first[:, None] + (last - first)[:, None] / (num_points - 1.0) * np.arange(num_points)
    # trunc instead of floor, as published: a point between -1 and 0 is at position 0 entirely.
    lower, upper = np.trunc(point), np.ceil(point)
    fraction = point - lower
    position = np.stack([lower, upper], axis=-1).astype(np.int64)
    weight = np.stack([1 - fraction, fraction], axis=-1) / num_samples_per_bin
    sample = np.arange(num_points) // num_samples_per_bin
    cell = np.arange(len(duration))
    inside = (position >= 0) & (position < temporal_dim) & (weight != 0)
    flat = (cell[:, None, None] * num_samples + sample[:, None]) * temporal_dim + position
    entries, group = np.unique(flat[inside], return_inverse=True)
    summed = np.bincount(group, weights=weight[inside]).astype(np.float32)
    cells, rest = np.divmod(entries, num_samples * temporal_dim)
    return cells, *np.divmod(rest, temporal_dim), summed


class _WeightedRows(torch.autograd.Function):
    """A sparse matrix times a dense table: out[i] = sum of weight[j] * table[column[j]] over row i.

    The entries j are given row by row and, for the gradient, column by column (transposed).
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, *entries: Tensor) -> Tensor:
        column, begin, weight, *transposed = entries
        ctx.save_for_backward(*transposed)
        return _gather(table, column, begin, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return _gather(grads[0].contiguous(), *ctx.saved_tensors), *[None] * 6


def _gather(table: Tensor, column: Tensor, begin: Tensor, weight: Tensor) -> Tensor:
    return F.embedding_bag(
        column, table, begin, mode="sum", per_sample_weights=weight.to(table.dtype)
    )


class BoundaryMatching(nn.Module):
    """A convolution over the points that every proposal samples.

    Instead of the sampling mask (T x num_samples * T * T, 128 MB for T = 100) it stores the nonzero
    entries of the mask.
    """

    place: Tensor  # index of each valid cell in the flattened map

    def __init__(
        self, temporal_dim: int, num_samples: int, num_samples_per_bin: int, boundary_ratio: float
    ) -> None:
        super().__init__()
        self.temporal_dim = temporal_dim
        self.num_samples = num_samples
        cell, sample, position, weight = sample_weights(
            temporal_dim, num_samples, num_samples_per_bin, boundary_ratio
        )
        column = sample * temporal_dim + position
        by_column = np.argsort(column, kind="stable")
        num_cells = temporal_dim * (temporal_dim + 1) // 2
        duration, start = valid_cells(temporal_dim)
        constants = {
            "place": duration * temporal_dim + start,
            "column": column,
            "begin": np.searchsorted(cell, np.arange(num_cells)),
            "weight": weight,
            "row_by_column": cell[by_column],
            "begin_by_column": np.searchsorted(
                column[by_column], np.arange(num_samples * temporal_dim)
            ),
            "weight_by_column": weight[by_column],
        }
        for name, values in constants.items():
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def forward(self, features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """features (N, C, T), weight (O, C, num_samples, 1, 1), bias (O,) -> (N, cells, O).

        Cells in the order of `valid_cells`.
        """
        num_batch, channels, length = features.shape
        kernel = weight.flatten(2).permute(2, 0, 1).reshape(-1, channels)  # (S * O, C)
        applied = kernel @ features.transpose(0, 1).reshape(channels, -1)  # (S * O, N * T)
        table = applied.view(self.num_samples, -1, num_batch, length).permute(0, 3, 2, 1)
        gathered = _WeightedRows.apply(
            table.reshape(self.num_samples * length, -1),
            self.column,
            self.begin,
            self.weight,
            self.row_by_column,
            self.begin_by_column,
            self.weight_by_column,
        )
        return gathered.view(gathered.shape[0], num_batch, -1).transpose(0, 1) + bias

    def spread(self, cells: Tensor, elsewhere: Tensor) -> Tensor:
        """Valid cells (N, cells, O) and the value of invalid ones (O,) -> the map (N, O, D, T)."""
        size = self.temporal_dim
        full = elsewhere.to(cells.dtype).expand(len(cells), size * size, -1)
        full = full.index_copy(1, self.place, cells)
        return full.transpose(1, 2).unflatten(2, (size, size))
