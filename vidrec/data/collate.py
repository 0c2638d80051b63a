"""What travels from the workers to the net, how samples become batches and reach the device."""

from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor


class ClipBatch(TypedDict):
    """Clips of one size."""

    video: Tensor  # (N, V, T, H, W, C) uint8; the net normalises it on the device
    label: Tensor  # (N,) int64, or (N, K) float32 for multi-label and soft targets
    index: Tensor  # (N,) int64: row of dataset.records; names and times are looked up there
    bad_videos: NotRequired[list[tuple[str, str]]]  # (path, reason); the loop takes them out


class ViewBatch(TypedDict):
    """Evaluation with several crops: each frame travels once, views are cut on the device."""

    video: Tensor  # (N, F, H, W, C) uint8, padded with zeros at the right and the bottom
    frames: Tensor  # (N, V, T) int64: which of the F frames each view shows
    crop: Tensor  # (N, V, 5) int64: left, top, width, height in pixels; 1 for a mirrored view
    label: Tensor
    index: Tensor
    bad_videos: NotRequired[list[tuple[str, str]]]


class BoxBatch(TypedDict):
    """Clips around key frames, with the boxes in them.

    Boxes are x1, y1, x2, y2 in pixels of their view. In evaluation clips may differ in size; they
    are then padded with zeros at the right and the bottom.
    """

    video: Tensor  # (N, V, T, H, W, C) uint8
    size: Tensor  # (N, 2) int64: height and width of the clip without padding
    boxes: Tensor  # (R, 4) float32: proposals in the views, clipped to them; none is empty
    box_view: Tensor  # (R,) int64: sample * V + view, in which the box is
    box_proposal: Tensor  # (R,) int64: row of `proposals` that it comes from
    proposals: Tensor  # (P, 4) float32: shares of the whole frame, as in the proposal file
    proposal_sample: Tensor  # (P,) int64: row of the batch
    truth: Tensor  # (G, 4) float32: pixels of the first view
    truth_sample: Tensor  # (G,) int64
    truth_labels: Tensor  # (G, K) float32, 0 or 1; column 0 is the background where there is one
    index: Tensor  # (N,) int64: row of dataset.records
    bank: NotRequired[Tensor]  # (N, L, C) float32: long-term features around the key frame
    bad_videos: NotRequired[list[tuple[str, str]]]


class FeatureBatch(TypedDict):
    """Feature sequences of one length, with the labels that the model learns from."""

    feature: Tensor  # (N, C, T) float32
    index: Tensor  # (N,) int64: the sample
    row: Tensor  # (N,) int64: row of dataset.records, which a long video has several samples of
    window: Tensor  # (N, 2) float64: where the sequence begins, and its span, in seconds
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
    """The views `start` to `stop` of every sample as clips, on the batch's device.

    All crops of a batch have one size. Returns (N, stop - start, T, h, w, C) uint8.
    """
    # The crops are a few dozen integers: read on the host they cost one synchronisation a batch.
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


def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Stack samples of numpy arrays into a batch of tensors.

    A sample that holds only `bad_videos` was dropped (`on_bad_video=skip`) and takes no row; a
    sample with several copies of its video (repeated augmentation, `copies` > 1) takes one row for
    each.
    """
    bad = [entry for sample in samples for entry in sample.get("bad_videos", ())]
    rows = [sample for sample in samples if "index" in sample]
    batch: dict[str, Any] = {}
    if rows and "boxes" in rows[0]:
        batch["video"] = _stack_padded([sample["video"][0] for sample in rows])
        rows = _count_through(rows)
    elif rows and "crop" in rows[0]:
        batch["video"] = _stack_padded([sample["video"] for sample in rows])
        for key in ("frames", "crop"):
            batch[key] = torch.from_numpy(np.stack([sample[key] for sample in rows]))
    for key in rows[0] if rows else ():
        if key not in (*batch, "bad_videos"):
            batch[key] = torch.from_numpy(np.concatenate([sample[key] for sample in rows]))
    if bad:
        batch["bad_videos"] = bad
    return batch


def _count_through(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Samples of boxes, whose rows, views and proposals then count through the batch."""
    moved = []
    num_proposals = 0
    for place, sample in enumerate(samples):
        moved.append(
            sample
            | {
                "box_view": sample["box_view"] + place * sample["video"].shape[1],
                "box_proposal": sample["box_proposal"] + num_proposals,
                "proposal_sample": sample["proposal_sample"] + place,
                "truth_sample": sample["truth_sample"] + place,
            }
        )
        num_proposals += len(sample["proposals"])
    return moved


def _stack_padded(videos: list[np.ndarray]) -> Tensor:
    """Arrays of several shapes -> (N, ...) of the largest, zeros at the end of each axis."""
    shape = [max(sizes) for sizes in zip(*(video.shape for video in videos), strict=True)]
    out = torch.zeros(len(videos), *shape, dtype=torch.uint8)
    for row, video in zip(out, videos, strict=True):
        row[tuple(slice(size) for size in video.shape)] = torch.from_numpy(video)
    return out


def to_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The tensors of a batch on `device`; copied without waiting from pinned memory."""
    return {
        key: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
        for key, value in batch.items()
    }
