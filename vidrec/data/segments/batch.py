"""What a localizer receives: feature sequences, or proposals with features of their own."""

from typing import NotRequired, TypedDict, final

from torch import Tensor


@final
class FeatureBatch(TypedDict):
    """Feature sequences of one length, with the labels that the model learns from."""

    feature: Tensor  # (N, C, T) float32
    index: Tensor  # (N,) int64: the sample
    row: Tensor  # (N,) int64: row of dataset.records; a long video has several samples
    window: Tensor  # (N, 2) float64: where the sequence begins and how long it lasts, in seconds
    # (N,) float64: where the video ends, in seconds; later positions are padding. Only windows of
    # long videos have any.
    video_end: NotRequired[Tensor]
    start: NotRequired[Tensor]  # (N, T) float32 in [0, 1]
    end: NotRequired[Tensor]  # (N, T)
    action: NotRequired[Tensor]  # (N, T)
    iou_map: NotRequired[Tensor]  # (N, D, T): row d is of proposals that last d + 1 positions


@final
class ProposalBatch(TypedDict):
    """Proposals of videos, M for each; rows beyond `num_proposals` are zeros."""

    proposal: Tensor  # (N, M, 4) float32: start and end in [0, 1], their scores
    proposal_feature: Tensor  # (N, M, C) float32
    iou: Tensor  # (N, M) float32: with the segment that it overlaps most
    num_proposals: Tensor  # (N,) int64
    index: Tensor
    row: Tensor
    window: Tensor
