"""What collating samples of every kind shares, and how a batch reaches the device."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from vidrec.data.unreadable import Skipped

Sample = TypeVar("Sample", bound=Mapping[str, object])
Batch = TypeVar("Batch", bound=Mapping[str, object])


def without_skipped(
    samples: Sequence[Sample | Skipped],
) -> tuple[list[Sample], list[tuple[str, str]]]:
    """The samples that were read, and (path, reason) of all videos that could not be."""
    read, bad = [], []
    for sample in samples:
        bad += cast(Skipped, sample).get("bad_videos", [])
        if "index" in sample:
            read.append(cast(Sample, sample))
    return read, bad


def concatenated(arrays: Iterable[np.ndarray]) -> Tensor:
    """Arrays joined along their first axis."""
    return torch.from_numpy(np.concatenate(list(arrays)))


def stacked(arrays: Iterable[np.ndarray]) -> Tensor:
    """Arrays of one shape along a new first axis."""
    return torch.from_numpy(np.stack(list(arrays)))


def stacked_padded(videos: Iterable[np.ndarray]) -> Tensor:
    """Arrays of several shapes -> (N, ...) uint8 of the largest, zero-padded at each axis' end."""
    videos = list(videos)
    shape = [max(sizes) for sizes in zip(*(video.shape for video in videos), strict=True)]
    out = torch.zeros(len(videos), *shape, dtype=torch.uint8)
    for row, video in zip(out, videos, strict=True):
        row[tuple(slice(size) for size in video.shape)] = torch.from_numpy(video)
    return out


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors on `device`; copied without waiting from pinned memory."""
    moved = {
        key: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
        for key, value in batch.items()
    }
    return cast(Batch, moved)
