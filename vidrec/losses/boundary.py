"""Class-balanced binary cross-entropy, on which BSN and BMN train boundaries."""

from torch import Tensor


def binary_logistic_regression(
    predicted: Tensor, target: Tensor, threshold: float = 0.5, eps: float = 1e-5
) -> Tensor:
    """Cross-entropy in which positives and negatives have the same weight (BSN, equation 5).

    predicted, target: of the same shape, in [0, 1]; targets above `threshold` are positive. For the
    weights, the fraction of positives is clamped to between 1 / 21 and 1 / 1.05.
    """
    positive = (target > threshold).float()
    num_positive = positive.sum().clamp(min=1)
    ratio = (positive.numel() / num_positive).clamp(1.05, 21)
    gained = 0.5 * ratio * positive * (predicted + eps).log()
    spared = 0.5 * ratio / (ratio - 1) * (1 - positive) * (1 - predicted + eps).log()
    return -(gained + spared).mean()
