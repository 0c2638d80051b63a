"""The losses of Boundary-Matching Networks (Lin et al., ICCV 2019, section 3.4)."""

import torch
from torch import Tensor

from vidrec.data.segments.batch import FeatureBatch
from vidrec.losses.boundary import binary_logistic_regression


class BMNLoss:
    """Boundaries, and the confidences of proposals by regression and by classification.

    The loss is finite even for a batch without positive cells.

    >>> T, D = 4, 3  # positions and durations
    >>> outputs = {"start": torch.full((1, T), 0.5), "end": torch.full((1, T), 0.5)}
    >>> outputs["iou_map"] = torch.full((1, 2, D, T), 0.5)
    >>> iou_map = torch.zeros(1, D, T)
    >>> iou_map[0, 1, 0] = 1.0  # the proposal from position 0 of the second duration
    >>> batch = {"start": torch.eye(T)[:1], "end": torch.eye(T)[2:3], "iou_map": iou_map}
    >>> {name: round(value.item(), 3) for name, value in BMNLoss()(outputs, batch).items()}
    {'loss': 3.329, 'loss_tem': 1.386, 'loss_pem_reg': 0.125, 'loss_pem_cls': 0.693}
    """

    def __init__(
        self, weight_tem: float = 1.0, weight_pem_reg: float = 10.0, weight_pem_cls: float = 1.0
    ) -> None:
        self.weight_tem = weight_tem
        self.weight_pem_reg = weight_pem_reg
        self.weight_pem_cls = weight_pem_cls

    def __call__(self, outputs: dict[str, Tensor], batch: FeatureBatch) -> dict[str, Tensor]:
        """outputs: `start`, `end` (N, T), `iou_map` (N, 2, D, T); in the batch it is (N, D, T)."""
        target = batch["iou_map"]
        regression, classification = outputs["iou_map"].unbind(1)
        valid = valid_map(target)
        tem = binary_logistic_regression(outputs["start"], batch["start"])
        tem = tem + binary_logistic_regression(outputs["end"], batch["end"])
        pem_reg = regression_loss(regression, target * valid, valid)
        pem_cls = classification_loss(classification, target * valid, valid)
        total = (
            self.weight_tem * tem + self.weight_pem_reg * pem_reg + self.weight_pem_cls * pem_cls
        )
        return {"loss": total, "loss_tem": tem, "loss_pem_reg": pem_reg, "loss_pem_cls": pem_cls}


def valid_map(target: Tensor) -> Tensor:
    """(D, T): 1 for proposals that end within the sequence, 0 elsewhere."""
    return torch.ones_like(target[0]).tril().flip(0)


def regression_loss(
    predicted: Tensor, target: Tensor, valid: Tensor, high: float = 0.7, low: float = 0.3
) -> Tensor:
    """Squared error over cells of high, middle and low IoU, about as many of each.

    predicted, target: (N, D, T) in [0, 1]; valid: (D, T). Cells of middle and low IoU are sampled
    at random; cells of IoU 0 are left out.
    """
    is_high = target > high
    is_middle = (target <= high) & (target > low)
    is_low = (target <= low) & (target > 0) & (valid > 0)
    num_high = is_high.sum()
    weights = is_high.to(target.dtype)
    for group in (is_middle, is_low):
        share = num_high / group.sum().clamp(min=1)
        drawn = group * torch.rand_like(target)
        weights = weights + (group & (drawn > 1 - share)).to(target.dtype)
    error = ((predicted - target) * weights).square()
    return 0.5 * error.sum() / weights.sum().clamp(min=1)


def classification_loss(
    predicted: Tensor, target: Tensor, valid: Tensor, threshold: float = 0.9, eps: float = 1e-5
) -> Tensor:
    """Whether the IoU is above `threshold`; positives and negatives have the same weight.

    predicted, target: (N, D, T) in [0, 1]; valid: (D, T).
    """
    positive = (target > threshold).to(predicted.dtype)
    negative = (target <= threshold).to(predicted.dtype) * valid
    num_positive = positive.sum().clamp(min=1)
    num_entries = num_positive + negative.sum()
    ratio = (num_entries / num_positive).clamp(1.05, 21)
    gained = 0.5 * ratio * (predicted + eps).log() * positive
    spared = 0.5 * ratio / (ratio - 1) * (1 - predicted + eps).log() * negative
    return -(gained + spared).sum() / num_entries
