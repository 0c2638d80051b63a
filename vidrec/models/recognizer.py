"""Video recognition: the recognizer takes a batch, backbones and heads take tensors."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from vidrec.data.clips.batch import ClipBatch, ViewBatch, cut_views
from vidrec.models.normalise import Normalised

AverageClips = Literal["prob", "score", "none"]


class Recognizer(Normalised, ABC):
    """What `Recognizer2D` and `Recognizer3D` share: normalisation, views and their average.

    neck: between backbone and head, over feature maps (B, C, T, h, w): a tuple of maps to the map
        for the head and, in training, the logits (B, K) of an auxiliary classifier (or None).
    mean, std: see `Normalised`.
    average_clips: how the scores of a video follow from its views; see `average_views`.
    max_test_images: frames per forward pass in `predict`, which bounds its memory; clips are never
        split.
    """

    def __init__(
        self,
        backbone: nn.Module,
        cls_head: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        average_clips: AverageClips | None = "prob",
        max_test_images: int = 128,
        neck: nn.Module | None = None,
    ) -> None:
        super().__init__(mean, std)
        if average_clips not in (None, *get_args(AverageClips)):
            raise ValueError(f"average_clips='{average_clips}': choose prob, score or none")
        if max_test_images < 1:
            raise ValueError(f"max_test_images={max_test_images} is less than 1")
        self.backbone = backbone
        if neck is not None:
            self.neck = neck
        else:
            check_channels(backbone, cls_head)
        self.cls_head = cls_head
        self.average_clips = average_clips
        self.max_test_images = max_test_images

    def forward(self, batch: ClipBatch) -> dict[str, Tensor]:
        """`video` (N, V, T, H, W, C), uint8 or on the same scale -> `outputs`."""
        return self.outputs(self.normalise(batch["video"]))

    def outputs(self, clips: Tensor) -> dict[str, Tensor]:
        """Normalised clips (N, V, T, C, H, W) -> `logits` (N, V, K).

        In training also `auxiliary_logits`, if a neck has an auxiliary classifier.
        """
        num_samples, num_views = clips.shape[:2]
        logits, auxiliary = self.classify(clips.flatten(0, 1))
        outputs = {"logits": logits, "auxiliary_logits": auxiliary}
        return {
            name: value.unflatten(0, (num_samples, num_views))
            for name, value in outputs.items()
            if value is not None
        }

    @abstractmethod
    def classify(self, clips: Tensor) -> tuple[Tensor, Tensor | None]:
        """Clips (B, T, C, H, W) -> logits (B, K), auxiliary logits (B, K)."""

    @torch.no_grad()
    def predict(self, batch: ClipBatch | ViewBatch) -> dict[str, Tensor]:
        """`scores` (N, K) float32, or (N, V, K) if views are not averaged."""
        views_of = batch["frames"] if "frames" in batch else batch["video"]
        num_samples, num_views, num_frames = views_of.shape[:3]
        samples = min(num_samples, max(1, self.max_test_images // num_frames))
        views = max(1, self.max_test_images // (num_frames * samples))
        rows = []
        for row in range(0, num_samples, samples):
            some = slice(row, row + samples)
            logits = [
                self.outputs(self.normalise(cut_clips(batch, some, view, view + views)))["logits"]
                for view in range(0, num_views, views)
            ]
            rows.append(torch.cat(logits, dim=1).float())
        joint = getattr(self.cls_head, "joint_views", False)
        return {"scores": average_views(torch.cat(rows), self.average_clips, joint)}


def check_channels(backbone: nn.Module, cls_head: nn.Module) -> None:
    """Raise ValueError if the head is not made for the features of the backbone.

    Only for modules that say both; your own need not.
    """
    given, expected = (
        getattr(backbone, "out_channels", None),
        getattr(cls_head, "in_channels", None),
    )
    if given is not None and expected is not None and given != expected:
        raise ValueError(
            f"model.net.cls_head.in_channels={expected}, but the backbone's features have {given} "
            f"channels: set model.net.cls_head.in_channels={given}"
        )


class Recognizer2D(Recognizer):
    """A backbone over single frames and a head that joins the frames of a clip."""

    def classify(self, clips: Tensor) -> tuple[Tensor, Tensor | None]:
        num_frames = clips.shape[1]
        features = self.backbone(clips.flatten(0, 1))
        if not hasattr(self, "neck"):
            return self.cls_head(features, num_frames), None
        features = tuple(f.unflatten(0, (-1, num_frames)).transpose(1, 2) for f in features)
        features, auxiliary = self.neck(features)
        return self.cls_head(features), auxiliary


class Recognizer3D(Recognizer):
    """A backbone over clips (B, C, T, H, W) and a head over its features."""

    def classify(self, clips: Tensor) -> tuple[Tensor, Tensor | None]:
        features = self.backbone(clips.transpose(1, 2))
        if not hasattr(self, "neck"):
            return self.cls_head(features), None
        features, auxiliary = self.neck(features)
        return self.cls_head(features), auxiliary


def average_views(logits: Tensor, average_clips: AverageClips | None, joint: bool) -> Tensor:
    """The scores of videos from the logits (N, V, K) of their views.

    "prob": the mean of the softmax of each view, or, with `joint`, the softmax of the mean;
    "score": the mean of the logits; "none": the logits of all views.
    """
    if average_clips is None or average_clips == "none":
        return logits
    if average_clips == "score":
        return logits.mean(dim=1)
    if joint:
        return logits.mean(dim=1).softmax(dim=-1)
    return logits.softmax(dim=-1).mean(dim=1)


def cut_clips(batch: ClipBatch | ViewBatch, samples: slice, start: int, stop: int) -> Tensor:
    """The views `start` to `stop` of some samples, (n, v, T, H, W, C) uint8."""
    if "frames" not in batch:
        return batch["video"][samples, start:stop]
    part: ViewBatch = {
        **batch,
        "video": batch["video"][samples],
        "frames": batch["frames"][samples],
        "crop": batch["crop"][samples],
    }
    return cut_views(part, start, stop)
