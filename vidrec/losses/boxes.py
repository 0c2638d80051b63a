"""The loss of action detection."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from vidrec.data.boxes.batch import BoxBatch


class ActionLoss:
    """Cross-entropy, optionally focal, over the boxes of annotated persons.

    A person without an action is an example of none of them; with one action per box, where the
    probabilities of the actions sum to one, such a box has no loss.

    Focal loss (Lin et al., ICCV 2017, equation 4): alpha (1 - p)^gamma on each entry, where p is
    the probability of the ground truth.

    multilabel: several actions at once (sigmoid); else one of them (softmax).
    background_class: column 0 is the background, which is left out of the loss.
    topk, threshold: recall and precision are logged for the k best actions, and for those whose
        probability exceeds the threshold (without multilabel: for the best one).

    >>> labels = torch.tensor([[0, 1, 1], [0, 0, 0]])  # two boxes, the background and two actions
    >>> outputs = {"logits": torch.zeros(2, 3), "labels": labels}
    >>> outputs["annotated"] = torch.tensor([True, False])  # the second box matches no person
    >>> round(ActionLoss()(outputs, {})["loss"].item(), 4)
    0.6931
    """

    def __init__(
        self,
        multilabel: bool = True,
        background_class: bool = True,
        focal_gamma: float = 0.0,
        focal_alpha: float = 1.0,
        topk: Sequence[int] = (3, 5),
        threshold: float = 0.5,
    ) -> None:
        if any(k < 1 for k in topk):
            raise ValueError(f"topk={list(topk)}: every k must be at least 1")
        self.multilabel = multilabel
        self.first = int(background_class)
        self.focal_gamma = focal_gamma
        self.focal_alpha = focal_alpha
        self.topk = tuple(topk)
        self.threshold = threshold

    def __call__(self, outputs: Mapping[str, Tensor], batch: BoxBatch) -> dict[str, Tensor]:
        """outputs: `logits`, `labels` (S, K) and `annotated` (S,), those that match a person.

        `loss` is 0 if no box counts.
        """
        logits = outputs["logits"][:, self.first :]
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        labels = outputs["labels"][:, self.first :].to(logits.dtype)
        acts = (labels.sum(dim=1) > 0).to(logits.dtype)
        if self.multilabel:
            entries = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
            entries = self._focal(entries).mean(dim=1)
        else:
            # As published: the labels of a box with several actions are divided by their number
            # if there is a background column, and not otherwise.
            shares = labels / labels.sum(dim=1, keepdim=True).clamp(min=1) if self.first else labels
            entries = self._focal(F.cross_entropy(logits, shares, reduction="none"))
        # Other boxes have weight 0; selecting those that count would need a host sync.
        counted = outputs["annotated"].to(logits.dtype) if self.multilabel else acts
        loss = (entries * counted).sum() / counted.sum().clamp(min=1)
        logged = {"loss": loss, "loss_action_cls": loss.detach()}
        with torch.no_grad():
            count = acts.sum().clamp(min=1)
            likely = logits.sigmoid() > self.threshold if self.multilabel else _best(logits, 1)
            found = {f"thr={self.threshold:g}": likely}
            found |= {f"top{k}": _best(logits, k) for k in self.topk}
            for name, chosen in found.items():
                right = (chosen & (labels > 0)).sum(dim=1)
                recall = right / labels.sum(dim=1).clamp(min=1)
                precision = right / (chosen.sum(dim=1) + 1e-6)
                logged[f"recall@{name}"] = (recall * acts).sum() / count
                logged[f"prec@{name}"] = (precision * acts).sum() / count
        return logged

    def _focal(self, entries: Tensor) -> Tensor:
        probability = torch.exp(-entries)
        return self.focal_alpha * (1 - probability) ** self.focal_gamma * entries


def _best(logits: Tensor, k: int) -> Tensor:
    """The k largest entries of each row, (S, K) bool."""
    best = logits.topk(min(k, logits.shape[1]), dim=1).indices
    return torch.zeros_like(logits, dtype=torch.bool).scatter(1, best, True)
