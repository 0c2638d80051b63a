"""The losses of Boundary-Sensitive Networks (Lin et al., ECCV 2018, section 3.4)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from vidrec.data.segments.batch import FeatureBatch, ProposalBatch
from vidrec.losses.boundary import binary_logistic_regression


class TEMLoss:
    """Actions, starts and ends, each by `binary_logistic_regression`.

    match_threshold: labels above it are positive.
    """

    def __init__(
        self,
        match_threshold: float = 0.5,
        loss_action_weight: float = 2.0,
        loss_start_weight: float = 1.0,
        loss_end_weight: float = 1.0,
    ) -> None:
        self.match_threshold = match_threshold
        self.weights = {
            "action": loss_action_weight,
            "start": loss_start_weight,
            "end": loss_end_weight,
        }

    def __call__(self, outputs: dict[str, Tensor], batch: FeatureBatch) -> dict[str, Tensor]:
        """outputs and batch: `action`, `start`, `end` (N, T) in [0, 1]."""
        targets = {"action": batch["action"], "start": batch["start"], "end": batch["end"]}
        losses = {
            f"loss_{name}": weight
            * binary_logistic_regression(outputs[name], targets[name], self.match_threshold)
            for name, weight in self.weights.items()
        }
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}


class PEMLoss:
    """Smooth L1 loss of the predicted IoU.

    balanced: over a random sample of proposals in which those of middle and low IoU are
        pem_u_ratio_m and pem_u_ratio_l times as many as those of high IoU (the paper's equation 7).
        Published checkpoints were trained with the mean over all proposals.
    """

    def __init__(
        self,
        balanced: bool = False,
        pem_high_temporal_iou_threshold: float = 0.6,
        pem_low_temporal_iou_threshold: float = 0.2,
        pem_u_ratio_m: float = 1.0,
        pem_u_ratio_l: float = 2.0,
    ) -> None:
        self.balanced = balanced
        self.high = pem_high_temporal_iou_threshold
        self.low = pem_low_temporal_iou_threshold
        self.ratio_middle = pem_u_ratio_m
        self.ratio_low = pem_u_ratio_l

    def __call__(self, outputs: dict[str, Tensor], batch: ProposalBatch) -> dict[str, Tensor]:
        """outputs: `iou` (N, M); batch: `iou` (N, M), `num_proposals` (N,)."""
        predicted = outputs["iou"]
        target = batch["iou"].to(predicted.dtype)
        position = torch.arange(target.shape[1], device=target.device)
        exists = position < batch["num_proposals"][:, None]
        weights = self.sampled(target, exists) if self.balanced else exists.to(target.dtype)
        error = F.smooth_l1_loss(predicted, target, reduction="none")
        return {"loss": (error * weights).sum() / weights.sum().clamp(min=1)}

    def sampled(self, target: Tensor, exists: Tensor) -> Tensor:
        """(N, M): 1 for the sampled proposals, 0 for the others."""
        is_high = (target > self.high) & exists
        is_middle = (target <= self.high) & (target > self.low) & exists
        is_low = (target <= self.low) & exists
        weights = is_high.to(target.dtype)
        for group, ratio in ((is_middle, self.ratio_middle), (is_low, self.ratio_low)):
            share = ratio * is_high.sum() / group.sum().clamp(min=1)
            weights += (group & (torch.rand_like(target) > 1 - share)).to(target.dtype)
        return weights
