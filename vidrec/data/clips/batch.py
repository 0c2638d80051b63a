"""What a recognizer receives: clips, or whole frames whose views are cut on the device."""

from typing import NotRequired, TypedDict, final

import torch
from torch import Tensor


@final
class ClipBatch(TypedDict):
    """Clips of one size."""

    video: Tensor  # (N, V, T, H, W, C) uint8; the net normalises it on the device
    label: Tensor  # (N,) int64, or (N, K) float32 for multi-label and soft targets
    index: Tensor  # (N,) int64: row of dataset.records; names and times are looked up there
    bad_videos: NotRequired[list[tuple[str, str]]]  # (path, reason); the loop takes them out


@final
class ViewBatch(TypedDict):
    """Evaluation with several crops: each frame travels once, views are cut on the device."""

    video: Tensor  # (N, F, H, W, C) uint8, zero-padded at the right and the bottom
    frames: Tensor  # (N, V, T) int64: which of the F frames each view shows
    crop: Tensor  # (N, V, 5) int64: left, top, width, height in pixels; 1 for a mirrored view
    label: Tensor
    index: Tensor
    bad_videos: NotRequired[list[tuple[str, str]]]


def cut_views(batch: ViewBatch, start: int, stop: int) -> Tensor:
    """The views `start` to `stop` of every sample as clips, on the batch's device.

    All crops of a batch have one size. Returns (N, stop - start, T, h, w, C) uint8.
    """
    # The crops are a few dozen integers: reading them on the host costs one sync per batch.
    crops = batch["crop"][:, start:stop].tolist()
    samples = []
    for video, frames, boxes in zip(
        batch["video"], batch["frames"][:, start:stop], crops, strict=True
    ):
        views = []
        for rows, (left, top, width, height, mirrored) in zip(frames, boxes, strict=True):
            view = video[:, top : top + height, left : left + width].index_select(0, rows)
            views.append(view.flip(2) if mirrored else view)
        samples.append(torch.stack(views))
    return torch.stack(samples)
