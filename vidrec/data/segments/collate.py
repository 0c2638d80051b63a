"""Samples of untrimmed videos, and how they become a batch."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict, final

import numpy as np

from vidrec.data.collate import concatenated
from vidrec.data.segments.batch import FeatureBatch, ProposalBatch


@final
class FeatureSample(TypedDict):
    """A row of a `FeatureBatch`."""

    feature: np.ndarray  # (1, C, T) float32
    index: np.ndarray  # (1,) int64
    row: np.ndarray  # (1,) int64
    window: np.ndarray  # (1, 2) float64
    video_end: NotRequired[np.ndarray]  # (1,) float64
    start: NotRequired[np.ndarray]  # (1, T) float32
    end: NotRequired[np.ndarray]  # (1, T)
    action: NotRequired[np.ndarray]  # (1, T)
    iou_map: NotRequired[np.ndarray]  # (1, D, T)


@final
class ProposalSample(TypedDict):
    """A row of a `ProposalBatch`."""

    proposal: np.ndarray  # (1, M, 4) float32
    proposal_feature: np.ndarray  # (1, M, C) float32
    iou: np.ndarray  # (1, M) float32
    num_proposals: np.ndarray  # (1,) int64
    index: np.ndarray  # (1,) int64
    row: np.ndarray  # (1,) int64
    window: np.ndarray  # (1, 2) float64


def collate_features(samples: Sequence[FeatureSample]) -> FeatureBatch:
    """Stack feature sequences, each label with the others of its name."""
    batch: FeatureBatch = {
        "feature": concatenated(sample["feature"] for sample in samples),
        "index": concatenated(sample["index"] for sample in samples),
        "row": concatenated(sample["row"] for sample in samples),
        "window": concatenated(sample["window"] for sample in samples),
    }
    if "video_end" in samples[0]:
        batch["video_end"] = concatenated(sample["video_end"] for sample in samples)
    if "start" in samples[0]:
        batch["start"] = concatenated(sample["start"] for sample in samples)
    if "end" in samples[0]:
        batch["end"] = concatenated(sample["end"] for sample in samples)
    if "action" in samples[0]:
        batch["action"] = concatenated(sample["action"] for sample in samples)
    if "iou_map" in samples[0]:
        batch["iou_map"] = concatenated(sample["iou_map"] for sample in samples)
    return batch


def collate_proposals(samples: Sequence[ProposalSample]) -> ProposalBatch:
    """Stack the proposals of videos."""
    return {
        "proposal": concatenated(sample["proposal"] for sample in samples),
        "proposal_feature": concatenated(sample["proposal_feature"] for sample in samples),
        "iou": concatenated(sample["iou"] for sample in samples),
        "num_proposals": concatenated(sample["num_proposals"] for sample in samples),
        "index": concatenated(sample["index"] for sample in samples),
        "row": concatenated(sample["row"] for sample in samples),
        "window": concatenated(sample["window"] for sample in samples),
    }
