"""Which boxes a detector learns from: proposals that fit the truth, and some that do not."""

import torch
from torch import Tensor

from vidrec.ops.box_iou import box_iou


class MaxIoUAssigner:
    """Gives each box the true one that it overlaps most (Girshick, ICCV 2015, section 2.3).

    pos_iou_thr: overlap from which on a box counts as the true one. neg_iou_thr: overlap below
    which it counts as background; in between it is left out.
    min_pos_iou: a true box also gets the boxes that overlap it most, from this overlap on
    (`match_low_quality`): all that tie, or, without `gt_max_assign_all`, the first.
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
        self, boxes: Tensor, samples: Tensor, truth: Tensor, truth_samples: Tensor
    ) -> Tensor:
        """Rows of `truth`, (P,) int64; -1 is background and -2 is left out.

        boxes: (P, 4), truth: (G, 4), of the samples (P,) and (G,): boxes meet the truth of their
        own sample only.
        """
        if len(truth) == 0 or len(boxes) == 0:
            return torch.full((len(boxes),), -1, device=boxes.device)
        overlaps = box_iou(truth[:, None], boxes)
        overlaps = overlaps.where(truth_samples[:, None] == samples, -1.0)
        most, which = overlaps.max(dim=0)
        given = torch.where(most < self.neg_iou_thr, -1, -2)
        given = torch.where(most >= self.pos_iou_thr, which, given)
        if not self.match_low_quality:
            return given
        best = overlaps.max(dim=1, keepdim=True).values
        ties = (overlaps == best) & (best >= max(self.min_pos_iou, 0.0))
        if not self.gt_max_assign_all:
            ties &= ties.cumsum(dim=1) == 1
        # Of several true boxes that a box is the best for, the last has it.
        rows = torch.arange(len(truth), device=boxes.device)[:, None]
        last = torch.where(ties, rows, -1).max(dim=0).values
        return torch.where(last >= 0, last, given)


class RandomSampler:
    """At most `num` boxes of a sample, at random (mmdetection's of that name).

    pos_fraction: share that may be true ones. neg_pos_ub: at most so many background boxes for each
    true one; negative: no such bound. add_gt_as_proposals: the true boxes are proposals as well.
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

    def __call__(self, given: Tensor, samples: Tensor, num_samples: int) -> Tensor:
        """Rows of the boxes to learn from: sample by sample, true ones before background.

        given: (P,) what the assigner says of each box, of the samples (P,).
        """
        positive, negative = given >= 0, given == -1
        chance = torch.rand(len(given), device=given.device)
        taken = torch.zeros(num_samples, dtype=torch.int64, device=given.device)
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
    """At most num[s] of the boxes `among` (P,) of each sample s, those with the least chance."""
    order = chance.argsort()
    order = order[samples[order].argsort(stable=True)]
    counted = among[order].long().cumsum(0)
    # What was counted before a sample's first box does not count for it.
    ends = torch.zeros_like(num).index_add(0, samples, among.long()).cumsum(0)
    before = torch.cat([ends.new_zeros(1), ends[:-1]])[samples[order]]
    chosen = torch.zeros_like(among)
    chosen[order] = among[order] & (counted - before <= num[samples[order]])
    return chosen
