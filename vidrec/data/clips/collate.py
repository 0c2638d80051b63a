"""Samples of clips, and how they become a batch."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict, final

import numpy as np

from vidrec.data.clips.batch import ClipBatch, ViewBatch
from vidrec.data.collate import concatenated, stacked, stacked_padded, without_skipped
from vidrec.data.unreadable import Skipped


@final
class ClipSample(TypedDict):
    """A row of a `ClipBatch`, or R of them: one for each copy of the video."""

    video: np.ndarray  # (R, V, T, H, W, C) uint8
    label: np.ndarray  # (R,) int64 or (R, K) float32
    index: np.ndarray  # (R,) int64
    bad_videos: NotRequired[list[tuple[str, str]]]


@final
class ViewSample(TypedDict):
    """A row of a `ViewBatch`."""

    video: np.ndarray  # (F, H, W, C) uint8
    frames: np.ndarray  # (V, T) int64
    crop: np.ndarray  # (V, 5) int64
    label: np.ndarray  # (1,) int64 or (1, K) float32
    index: np.ndarray  # (1,) int64
    bad_videos: NotRequired[list[tuple[str, str]]]


def collate_clips(
    samples: Sequence[ClipSample | ViewSample | Skipped],
) -> ClipBatch | ViewBatch | Skipped:
    """Stack the samples of one dataset into a batch.

    A sample with several copies of its video (repeated augmentation) becomes as many rows. Skipped
    videos become no row; a batch that has no row left holds their names only.
    """
    read: list[ClipSample | ViewSample]
    read, skipped = without_skipped(samples)
    views = [sample for sample in read if "crop" in sample]
    clips = [sample for sample in read if "crop" not in sample]
    batch: ClipBatch | ViewBatch
    if views:
        batch = {
            "video": stacked_padded(sample["video"] for sample in views),
            "frames": stacked(sample["frames"] for sample in views),
            "crop": stacked(sample["crop"] for sample in views),
            "label": concatenated(sample["label"] for sample in views),
            "index": concatenated(sample["index"] for sample in views),
        }
    elif clips:
        batch = {
            "video": concatenated(sample["video"] for sample in clips),
            "label": concatenated(sample["label"] for sample in clips),
            "index": concatenated(sample["index"] for sample in clips),
        }
    else:
        return {"bad_videos": skipped}
    if skipped:
        batch["bad_videos"] = skipped
    return batch
