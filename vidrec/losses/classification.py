"""Losses of recognition: `loss_fn(outputs, batch)` with `outputs["logits"]` (N, V, K).

Every view is a training sample with the label of its video. Computed in float32 or better.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vidrec.data.clips.batch import ClipBatch

Outputs = dict[str, Tensor]


class CrossEntropy:
    """Cross-entropy with classes (N,) or distributions over classes (N, K) as labels.

    label_smoothing: fraction of every label that is spread evenly over all classes.
    class_weight: one per class; the weighted terms are divided by the weights of the labels.
    loss_weight: factor of the loss.
    auxiliary_weight: factor of the loss of an auxiliary classifier, for nets that return
        `outputs["auxiliary_logits"]` (N, V, K); both terms are logged, `loss_cls` and `loss_aux`.

    >>> loss_fn = CrossEntropy(label_smoothing=0.1)
    >>> logits = torch.zeros(2, 1, 4, requires_grad=True)  # two videos, one view, four classes
    >>> losses = loss_fn({"logits": logits}, {"label": torch.tensor([0, 3])})
    >>> losses["loss"].backward()
    >>> round(losses["loss"].item(), 4), losses["top1"].item()
    (1.3863, 0.5)
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        class_weight: Sequence[float] | None = None,
        loss_weight: float = 1.0,
        auxiliary_weight: float = 0.5,
    ) -> None:
        self.label_smoothing = _share(label_smoothing)
        self.class_weight = _ClassWeight(class_weight)
        self.loss_weight = loss_weight
        self.auxiliary_weight = auxiliary_weight

    def __call__(self, outputs: Outputs, batch: ClipBatch) -> dict[str, Tensor]:
        """`logits` (N, V, K) and `label` (N,) or (N, K) -> `loss` and, with labels (N,), `top1`."""
        logits, label = _rows(outputs["logits"], batch)
        losses = {"loss": self._loss(logits, label) * self.loss_weight}
        if "auxiliary_logits" in outputs:
            auxiliary = self._loss(*_rows(outputs["auxiliary_logits"], batch))
            losses |= {"loss_cls": losses["loss"], "loss_aux": auxiliary * self.auxiliary_weight}
            losses["loss"] = losses["loss_cls"] + losses["loss_aux"]
        return losses | ({"top1": _top1(logits, label)} if label.ndim == 1 else {})

    def _loss(self, logits: Tensor, label: Tensor) -> Tensor:
        weight = self.class_weight.like(logits)
        if label.ndim == 1 and not self.label_smoothing:
            return F.cross_entropy(logits, label, weight)
        target = _one_hot(label, logits) if label.ndim == 1 else label
        target = _smooth(target, self.label_smoothing)
        if weight is not None:
            target = target * weight
        total = len(target) if weight is None else target.sum()
        return -(target * logits.log_softmax(dim=1)).sum() / total


class BinaryCrossEntropy:
    """Binary cross-entropy for labels (N, K) of which any number is 1; the mean over all entries.

    label_smoothing: fraction of every label that is spread evenly over all classes.
    class_weight: factor of the terms of each class.
    loss_weight: factor of the loss. Since the mean divides by the number of classes, published
        recipes use a weight of about that number.

    >>> labels = torch.tensor([[1.0, 0.0, 1.0]])
    >>> BinaryCrossEntropy()({"logits": torch.zeros(1, 1, 3)}, {"label": labels})
    {'loss': tensor(0.6931)}
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        class_weight: Sequence[float] | None = None,
        loss_weight: float = 1.0,
    ) -> None:
        self.label_smoothing = _share(label_smoothing)
        self.class_weight = _ClassWeight(class_weight)
        self.loss_weight = loss_weight

    def __call__(self, outputs: Outputs, batch: ClipBatch) -> dict[str, Tensor]:
        """`logits` (N, V, K) and `label` (N, K) -> `loss`."""
        logits, label = _rows(outputs["logits"], batch)
        if label.ndim == 1:
            raise ValueError(
                f"BinaryCrossEntropy needs labels (N, {logits.shape[1]}), got classes (N,): use "
                "CrossEntropy, or data.multi_label=true"
            )
        target, weight = _smooth(label, self.label_smoothing), self.class_weight.like(logits)
        loss = F.binary_cross_entropy_with_logits(logits, target, weight)
        return {"loss": loss * self.loss_weight}


class ClassBalancedFocal:
    """Class-balanced focal loss, for classes of very different sizes.

    Cui et al., CVPR 2019: the weights of equation 3, scaled to sum to K, on the loss of equation 8.

    samples_per_class: number of training samples of each class.
    loss_weight: factor of the loss.

    >>> loss_fn = ClassBalancedFocal(samples_per_class=[1000, 10])
    >>> rare, common = (
    ...     loss_fn({"logits": torch.zeros(1, 1, 2)}, {"label": torch.tensor([label])})["loss"]
    ...     for label in (1, 0)
    ... )
    >>> round((rare / common).item())
    95
    """

    def __init__(
        self,
        samples_per_class: Sequence[int],
        beta: float = 0.9999,
        gamma: float = 2.0,
        loss_weight: float = 1.0,
    ) -> None:
        if min(samples_per_class) < 1:
            raise ValueError(
                f"samples_per_class has {min(samples_per_class)} at class "
                f"{samples_per_class.index(min(samples_per_class))}: every class needs a sample"
            )
        weights = [(1 - beta) / (1 - beta**count) for count in samples_per_class]
        self.class_weight = _ClassWeight([w * len(weights) / sum(weights) for w in weights])
        self.gamma = gamma
        self.loss_weight = loss_weight

    def __call__(self, outputs: Outputs, batch: ClipBatch) -> dict[str, Tensor]:
        """`logits` (N, V, K) and `label` (N,) -> `loss`, `top1`."""
        logits, label = _rows(outputs["logits"], batch)
        target = _one_hot(label, logits)
        entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        # (1 - p)^gamma, where p is the probability of the target, without overflow.
        modulator = (self.gamma * F.logsigmoid(logits * (1 - 2 * target))).exp()
        weight = self.class_weight.like(logits)
        assert weight is not None
        loss = (weight[label] * (modulator * entropy).sum(dim=1)).mean()
        return {"loss": loss * self.loss_weight, "top1": _top1(logits, label)}


class _ClassWeight:
    """One factor per class, copied to the device of the logits once."""

    def __init__(self, values: Sequence[float] | None) -> None:
        self.values = None if values is None else torch.tensor(list(values), dtype=torch.float64)

    def like(self, logits: Tensor) -> Tensor | None:
        if self.values is None:
            return None
        if len(self.values) != logits.shape[1]:
            raise ValueError(f"{len(self.values)} class weights for {logits.shape[1]} classes")
        self.values = self.values.to(logits)
        return self.values


def _rows(logits: Tensor, batch: ClipBatch) -> tuple[Tensor, Tensor]:
    """Logits (N * V, K) in float32 or better, and a label for each, (N * V,) or (N * V, K)."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    label = batch["label"].repeat_interleave(logits.shape[1], dim=0)
    return logits.flatten(0, 1), label if label.ndim == 1 else label.to(logits.dtype)


def _share(label_smoothing: float) -> float:
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing={label_smoothing} is not in [0, 1)")
    return label_smoothing


def _smooth(target: Tensor, share: float) -> Tensor:
    return target * (1 - share) + share / target.shape[1] if share else target


def _one_hot(label: Tensor, logits: Tensor) -> Tensor:
    return torch.zeros_like(logits).scatter_(1, label[:, None], 1.0)


def _top1(logits: Tensor, label: Tensor) -> Tensor:
    return (logits.detach().argmax(dim=1) == label).float().mean()
