"""What a detector receives: clips around key frames, with proposals and ground-truth boxes."""

from typing import NotRequired, TypedDict, final

from torch import Tensor


@final
class BoxBatch(TypedDict):
    """Clips around key frames, with the boxes in them.

    Boxes are x1, y1, x2, y2 in pixels of their view. In evaluation clips may differ in size; they
    are then zero-padded at the right and the bottom.
    """

    video: Tensor  # (N, V, T, H, W, C) uint8
    size: Tensor  # (N, 2) int64: height and width of the clip without padding
    boxes: Tensor  # (R, 4) float32: proposals in the views, clipped to them; none is empty
    box_view: Tensor  # (R,) int64: sample * V + view that contains the box
    box_proposal: Tensor  # (R,) int64: row of `proposals` that it comes from
    proposals: Tensor  # (P, 4) float32: normalised to [0, 1], as in the proposal file
    proposal_sample: Tensor  # (P,) int64: row of the batch
    gt_boxes: Tensor  # (G, 4) float32: pixels of the first view
    gt_sample: Tensor  # (G,) int64: row of the batch
    gt_labels: Tensor  # (G, K) float32, 0 or 1, column 0 the background if any; 0: does nothing
    index: Tensor  # (N,) int64: row of dataset.records
    bank: NotRequired[Tensor]  # (N, L, C) float32: long-term features around the key frame
    bad_videos: NotRequired[list[tuple[str, str]]]
