"""Samples of key frames, and how they become a batch."""

from collections.abc import Sequence
from itertools import accumulate
from typing import NotRequired, TypedDict, final

import numpy as np

from vidrec.data.boxes.batch import BoxBatch
from vidrec.data.collate import concatenated, stacked_padded, without_skipped
from vidrec.data.unreadable import Skipped


@final
class BoxSample(TypedDict):
    """A row of a `BoxBatch`; the fields are those of the batch, rows count within the sample."""

    video: np.ndarray  # (1, V, T, H, W, C) uint8
    size: np.ndarray  # (1, 2) int64
    boxes: np.ndarray  # (R, 4) float32
    box_view: np.ndarray  # (R,) int64
    box_proposal: np.ndarray  # (R,) int64
    proposals: np.ndarray  # (P, 4) float32
    proposal_sample: np.ndarray  # (P,) int64
    gt_boxes: np.ndarray  # (G, 4) float32
    gt_sample: np.ndarray  # (G,) int64
    gt_labels: np.ndarray  # (G, K) float32
    index: np.ndarray  # (1,) int64
    bank: NotRequired[np.ndarray]  # (1, L, C) float32
    bad_videos: NotRequired[list[tuple[str, str]]]


def collate_boxes(samples: Sequence[BoxSample | Skipped]) -> BoxBatch | Skipped:
    """Stack samples into a batch; views, proposals and samples are numbered through the batch.

    Skipped videos become no row; a batch that has no row left holds their names only.
    """
    read, skipped = without_skipped(samples)
    if not read:
        return {"bad_videos": skipped}
    first_proposal = list(accumulate((len(sample["proposals"]) for sample in read), initial=0))
    batch: BoxBatch = {
        "video": stacked_padded(sample["video"][0] for sample in read),
        "size": concatenated(sample["size"] for sample in read),
        "boxes": concatenated(sample["boxes"] for sample in read),
        "box_view": concatenated(
            sample["box_view"] + row * sample["video"].shape[1] for row, sample in enumerate(read)
        ),
        "box_proposal": concatenated(
            sample["box_proposal"] + first_proposal[row] for row, sample in enumerate(read)
        ),
        "proposals": concatenated(sample["proposals"] for sample in read),
        "proposal_sample": concatenated(
            sample["proposal_sample"] + row for row, sample in enumerate(read)
        ),
        "gt_boxes": concatenated(sample["gt_boxes"] for sample in read),
        "gt_sample": concatenated(sample["gt_sample"] + row for row, sample in enumerate(read)),
        "gt_labels": concatenated(sample["gt_labels"] for sample in read),
        "index": concatenated(sample["index"] for sample in read),
    }
    if "bank" in read[0]:
        batch["bank"] = concatenated(sample["bank"] for sample in read)
    if skipped:
        batch["bad_videos"] = skipped
    return batch
