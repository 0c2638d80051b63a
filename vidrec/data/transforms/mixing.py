"""Mixing the samples of a training batch on the device, just before the network.

Labels, classes (N,) or rows (N, K), become rows (N, K) float32. Randomness comes from torch's
generator on the host, which the loop seeds at every step, so that a resumed run mixes as the
uninterrupted one.
"""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

# A `ClipBatch` of training, as the loop knows batches.
Batch = dict[str, Tensor]


class Mix(Protocol):
    """Returns a new batch and leaves the old one alone."""

    num_classes: int

    def __call__(self, batch: Batch) -> Batch: ...


class Mixup:
    """Weighted sums of two videos and of their labels (Zhang et al., ICLR 2018, equation 1).

    The weight, from Beta(alpha, alpha), is sampled once per batch, a partner for each sample.
    """

    def __init__(self, num_classes: int, alpha: float = 0.8) -> None:
        self.num_classes = num_classes
        self.alpha = _positive("Mixup", alpha)

    def __call__(self, batch: Batch) -> Batch:
        """`video` (N, V, T, H, W, C) uint8 -> float32 on the same scale."""
        video, label = batch["video"], soft_labels(batch["label"], self.num_classes)
        weight = _weight(self.alpha)
        partner = _partners(video)
        mixed = torch.mul(video, weight).add_(video.index_select(0, partner), alpha=1 - weight)
        return batch | {"video": mixed, "label": _mixed(label, partner, weight)}


class Cutmix:
    """A box of one video pasted into another (Yun et al., ICCV 2019, equations 1 and 2).

    The box, sampled once per batch, covers 1 - w of the frame, w from Beta(alpha, alpha), and is
    clipped to it; labels are weighted by area.
    """

    def __init__(self, num_classes: int, alpha: float = 1.0) -> None:
        self.num_classes = num_classes
        self.alpha = _positive("Cutmix", alpha)

    def __call__(self, batch: Batch) -> Batch:
        """`video` (N, V, T, H, W, C) -> the same type."""
        video, label = batch["video"], soft_labels(batch["label"], self.num_classes)
        height, width = video.shape[-3:-1]
        edge = (1 - _weight(self.alpha)) ** 0.5
        top, bottom = _interval(height, edge)
        left, right = _interval(width, edge)
        partner = _partners(video)
        mixed = video.clone()
        box = mixed[..., top:bottom, left:right, :]
        box.copy_(video[..., top:bottom, left:right, :].index_select(0, partner))
        weight = 1 - (bottom - top) * (right - left) / (height * width)
        return batch | {"video": mixed, "label": _mixed(label, partner, weight)}


class OneOf:
    """One of several mixes at each step, or none.

    choices: mixes by name; None for one that was dropped.
    probabilities: of each name; the remainder to 1 is the probability of no mixing. None makes all
        equally likely.
    """

    def __init__(
        self, choices: Mapping[str, Mix | None], probabilities: Mapping[str, float] | None = None
    ) -> None:
        self.choices = {name: mix for name, mix in choices.items() if mix is not None}
        if not self.choices:
            raise ValueError("OneOf has no choices left: schedule.mixing=null mixes nothing")
        if probabilities is None:
            probabilities = dict.fromkeys(self.choices, 1 / len(self.choices))
        if set(probabilities) != set(self.choices):
            raise ValueError(
                f"OneOf has probabilities of {sorted(probabilities)} and choices "
                f"{sorted(self.choices)}: give one for each"
            )
        if min(probabilities.values()) < 0 or sum(probabilities.values()) > 1 + 1e-6:
            raise ValueError(f"OneOf: probabilities={dict(probabilities)} are not probabilities")
        self.probabilities = dict(probabilities)

    def __call__(self, batch: Batch) -> Batch:
        """`video` (N, V, T, H, W, C), `label` (N,) or (N, K) -> the batch, with labels (N, K)."""
        drawn = torch.rand(()).item()
        for name, mix in self.choices.items():
            drawn -= self.probabilities[name]
            if drawn < 0:
                return mix(batch)
        num_classes = next(iter(self.choices.values())).num_classes
        return batch | {"label": soft_labels(batch["label"], num_classes)}


def soft_labels(label: Tensor, num_classes: int) -> Tensor:
    """Classes (N,) or rows (N, K) -> rows (N, K) float32."""
    if label.ndim == 2:
        return label.float()
    rows = torch.zeros(len(label), num_classes, device=label.device)
    return rows.scatter_(1, label[:, None], 1.0)


def _mixed(label: Tensor, partner: Tensor, weight: float) -> Tensor:
    return label * weight + label.index_select(0, partner) * (1 - weight)


def _weight(alpha: float) -> float:
    # Drawn on the host: nothing waits for the device.
    return torch.distributions.Beta(alpha, alpha).sample().item()


def _partners(video: Tensor) -> Tensor:
    return torch.randperm(len(video)).to(video.device, non_blocking=True)


def _interval(length: int, share: float) -> tuple[int, int]:
    """Start and end of a `share` of an axis around a random pixel, clipped to the frame."""
    centre, half = int(torch.randint(length, ())), int(length * share) // 2
    return max(0, centre - half), min(length, centre + half)


def _positive(name: str, alpha: float) -> float:
    if alpha <= 0:
        raise ValueError(
            f"{name}: alpha={alpha} is not positive; schedule.mixing=null mixes nothing"
        )
    return alpha
