"""A loss: outputs and batch to a scalar, and to what is logged."""

import torch
from torch import Tensor


class Focal:
    """Cross-entropy in which samples that are learned count less (Lin et al., ICCV 2017, eq. 4).

    gamma: how much less.
    """

    def __init__(self, gamma: float = 1.0) -> None:
        self.gamma = gamma

    def __call__(self, outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`outputs["logits"]` (N, V, K) and `batch["label"]` (N,) -> scalars, `loss` among them."""
        logits = outputs["logits"].float()
        label = batch["label"].unsqueeze(1).expand(logits.shape[:2])
        log_prob = logits.log_softmax(dim=-1).gather(-1, label.unsqueeze(-1))
        loss = -((1 - log_prob.exp()) ** self.gamma * log_prob).mean()
        right = logits.mean(dim=1).argmax(dim=-1) == batch["label"]
        return {"loss": loss, "top1": right.to(torch.float32).mean()}
