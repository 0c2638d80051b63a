"""Which boxes a detector is trained on: proposals that match a ground-truth box, and others."""

import torch
from torch import Tensor

from vidrec.ops.box_iou import box_iou

BACKGROUND, IGNORED = -1, -2  # in place of the row of a ground-truth box


class MaxIoUAssigner:
    """Assigns to each box the ground-truth box with the highest IoU (Girshick, ICCV 2015, 2.3).

    pos_iou_thr: a box is positive if its IoU >= this.
    neg_iou_thr: a box is background if its IoU < this; in between it is ignored.
    match_low_quality: assign a ground-truth box also to the boxes with the highest IoU with it, if
        that is >= min_pos_iou: to all that tie, or, without gt_max_assign_all, to the first.
    """

    def __init__(
        self,
        pos_iou_thr: float,
        neg_iou_thr: float,
        min_pos_iou: float = 0.0,
        gt_max_assign_all: bool = True,
        match_low_quality: bool = True,
    ) -> None:
        if not 0 <= neg_iou_thr <= pos_iou_thr <= 1:
            raise ValueError(
                f"neg_iou_thr={neg_iou_thr} and pos_iou_thr={pos_iou_thr} are not "
                "0 <= neg_iou_thr <= pos_iou_thr <= 1"
            )
        self.pos_iou_thr = pos_iou_thr
        self.neg_iou_thr = neg_iou_thr
        self.min_pos_iou = min_pos_iou
        self.gt_max_assign_all = gt_max_assign_all
        self.match_low_quality = match_low_quality

    def __call__(
        self, boxes: Tensor, samples: Tensor, gt_boxes: Tensor, gt_samples: Tensor
    ) -> Tensor:
        """Rows of `gt_boxes`, or BACKGROUND or IGNORED, (P,) int64.

        boxes: (P, 4) of the samples (P,). gt_boxes: (G, 4) of the samples (G,). Boxes are only
        matched within a sample.
        """
        if len(gt_boxes) == 0 or len(boxes) == 0:
            return torch.full((len(boxes),), BACKGROUND, device=boxes.device)
        overlaps = box_iou(gt_boxes[:, None], boxes)
        overlaps = overlaps.where(gt_samples[:, None] == samples, -1.0)
        highest, row = overlaps.max(dim=0)
        assigned = torch.where(highest < self.neg_iou_thr, BACKGROUND, IGNORED)
        assigned = torch.where(highest >= self.pos_iou_thr, row, assigned)
        if not self.match_low_quality:
            return assigned
        best = overlaps.max(dim=1, keepdim=True).values
        ties = (overlaps == best) & (best >= max(self.min_pos_iou, 0.0))
        if not self.gt_max_assign_all:
            ties &= ties.cumsum(dim=1) == 1
        # If a box is the best for several ground-truth boxes, the last of them counts.
        rows = torch.arange(len(gt_boxes), device=boxes.device)[:, None]
        last = torch.where(ties, rows, -1).max(dim=0).values
        return torch.where(last >= 0, last, assigned)


class RandomSampler:
    """At most `num` boxes per sample, chosen at random (mmdetection's sampler of that name).

    pos_fraction: the largest fraction of positive boxes.
    neg_pos_ub: at most so many background boxes per positive one; negative: no limit.
    add_gt_as_proposals: ground-truth boxes are proposals as well.
    """

    def __init__(
        self,
        num: int,
        pos_fraction: float,
        neg_pos_ub: float = -1,
        add_gt_as_proposals: bool = True,
    ) -> None:
        if num < 1 or not 0 <= pos_fraction <= 1:
            raise ValueError(
                f"num={num} must be at least 1 and pos_fraction={pos_fraction} in [0, 1]"
            )
        self.num = num
        self.pos_fraction = pos_fraction
        self.neg_pos_ub = neg_pos_ub
        self.add_gt_as_proposals = add_gt_as_proposals

    def __call__(self, assigned: Tensor, samples: Tensor, num_samples: int) -> Tensor:
        """Rows of the boxes to train on: sample by sample, positive ones before background.

        assigned: (P,) from the assigner, for the boxes of the samples (P,).
        """
        positive, negative = assigned >= 0, assigned == BACKGROUND
        chance = torch.rand(len(assigned), device=assigned.device)
        taken = torch.zeros(num_samples, dtype=torch.int64, device=assigned.device)
        positive = _choose(positive, chance, samples, taken + int(self.num * self.pos_fraction))
        taken = taken.index_add(0, samples, positive.long())
        num_negative = self.num - taken
        if self.neg_pos_ub >= 0:
            bound = (self.neg_pos_ub * taken.clamp(min=1)).long()
            num_negative = torch.minimum(num_negative, bound)
        negative = _choose(negative, chance, samples, num_negative)
        rows = (positive | negative).nonzero()[:, 0]
        order = samples[rows] * 2 + negative[rows]
        return rows[order.argsort(stable=True)]


def _choose(among: Tensor, chance: Tensor, samples: Tensor, num: Tensor) -> Tensor:
    """At most num[s] of the boxes `among` (P,) of each sample s, those with the lowest chance."""
    order = chance.argsort()
    order = order[samples[order].argsort(stable=True)]
    counted = among[order].long().cumsum(0)
    # Boxes counted before a sample's first one belong to other samples.
    ends = torch.zeros_like(num).index_add(0, samples, among.long()).cumsum(0)
    before = torch.cat([ends.new_zeros(1), ends[:-1]])[samples[order]]
    chosen = torch.zeros_like(among)
    chosen[order] = among[order] & (counted - before <= num[samples[order]])
    return chosen
