"""What travels from the workers to the net, how samples become batches, and how batches reach the device."""

from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor


class ClipBatch(TypedDict):
    """Clips of one size."""

    video: Tensor  # (N, V, T, H, W, C) uint8; the net normalises it on the device
    label: Tensor  # (N,) int64, or (N, K) float32 for multi-label and soft targets
    index: Tensor  # (N,) int64: row of dataset.records; names and times are looked up there
    bad_videos: NotRequired[list[tuple[str, str]]]  # (path, reason); taken out and counted by the loop


class ViewBatch(TypedDict):
    """Evaluation with several crops: each distinct frame travels once, views are cut on the device."""

    video: Tensor  # (N, F, H, W, C) uint8, padded with zeros at the right and the bottom to one size
    frames: Tensor  # (N, V, T) int64: which of the F frames each view shows
    crop: Tensor  # (N, V, 5) int64: left, top, width, height in pixels; 1 for a mirrored view
    label: Tensor
    index: Tensor
    bad_videos: NotRequired[list[tuple[str, str]]]


class FeatureBatch(TypedDict):
    """Feature sequences of one length, with the labels that the model learns from."""

    feature: Tensor  # (N, C, T) float32
    index: Tensor  # (N,) int64: the sample
    row: Tensor  # (N,) int64: row of dataset.records, which a long video has several samples of
    window: Tensor  # (N, 2) float64: where the sequence begins in the video and its span, in seconds
    start: NotRequired[Tensor]  # (N, T) float32 in [0, 1]
    end: NotRequired[Tensor]  # (N, T)
    action: NotRequired[Tensor]  # (N, T)
    iou_map: NotRequired[Tensor]  # (N, D, T): row d is of proposals that last d + 1 positions


class ProposalBatch(TypedDict):
    """Proposals of videos, M for each; those beyond `num_proposals` are zeros."""

    proposal: Tensor  # (N, M, 4) float32: start and end in [0, 1], their scores
    proposal_feature: Tensor  # (N, M, C) float32
    iou: Tensor  # (N, M) float32: with the segment that it covers best
    num_proposals: Tensor  # (N,) int64
    index: Tensor
    row: Tensor
    window: Tensor


def cut_views(batch: ViewBatch, start: int, stop: int) -> Tensor:
    """The views `start` to `stop` of every sample as clips.

    All crops of a batch have one size. Returns (N, stop - start, T, h, w, C) uint8 on the batch's device.
    """
    # The crops are a few dozen integers: read on the host they cost one synchronisation a batch.
    crops = batch["crop"][:, start:stop].tolist()
    samples = []
    for video, frames, boxes in zip(batch["video"], batch["frames"][:, start:stop], crops, strict=True):
        views = []
        for rows, (left, top, width, height, mirrored) in zip(frames, boxes, strict=True):
            view = video[:, top : top + height, left : left + width].index_select(0, rows)
            views.append(view.flip(2) if mirrored else view)
        samples.append(torch.stack(views))
    return torch.stack(samples)


def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Stack samples of numpy arrays into a batch of tensors.

    A sample that holds only `bad_videos` was dropped (`on_bad_video=skip`) and takes no row; a sample with
    several copies of its video (repeated augmentation, `copies` > 1) takes one row for each.
    """
    bad = [entry for sample in samples for entry in sample.get("bad_videos", ())]
    rows = [sample for sample in samples if "index" in sample]
    batch: dict[str, Any] = {}
    if rows and "crop" in rows[0]:
        batch["video"] = _stack_padded([sample["video"] for sample in rows])
        for key in ("frames", "crop"):
            batch[key] = torch.from_numpy(np.stack([sample[key] for sample in rows]))
    for key in rows[0] if rows else ():
        if key not in (*batch, "bad_videos"):
            batch[key] = torch.from_numpy(np.concatenate([sample[key] for sample in rows]))
    if bad:
        batch["bad_videos"] = bad
    return batch


def _stack_padded(videos: list[np.ndarray]) -> Tensor:
    """Videos (F, H, W, C) of several sizes -> (N, F, H, W, C), zeros at the end of each axis."""
    shape = [max(sizes) for sizes in zip(*(video.shape for video in videos), strict=True)]
    out = torch.zeros(len(videos), *shape, dtype=torch.uint8)
    for row, video in zip(out, videos, strict=True):
        row[tuple(slice(size) for size in video.shape)] = torch.from_numpy(video)
    return out


def to_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The tensors of a batch on `device`, copied without waiting where the host memory is pinned."""
    return {
        key: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
        for key, value in batch.items()
    }
