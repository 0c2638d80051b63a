"""Recognition of videos by networks that see frames as images."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from vidrec.data.batch import ClipBatch, ViewBatch, cut_views

AverageClips = Literal["prob", "score", "none"]


class Recognizer2D(nn.Module):
    """A backbone over single frames and a head that joins the frames of a clip.

    mean, std: of the frames' channels on the scale 0 to 255; fewer values than channels repeat.
    average_clips: how the views of a video become its scores; see `average_views`.
    max_test_images: images of one forward pass in `predict`, which bounds its memory. A clip is
        never divided.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        cls_head: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        average_clips: AverageClips | None = "prob",
        max_test_images: int = 128,
    ) -> None:
        super().__init__()
        if len(mean) != len(std):
            raise ValueError(f"mean={list(mean)} and std={list(std)} differ in length")
        if average_clips not in (None, *get_args(AverageClips)):
            raise ValueError(f"average_clips='{average_clips}': choose prob, score or none")
        if max_test_images < 1:
            raise ValueError(f"max_test_images={max_test_images} is less than 1")
        self.backbone = backbone
        self.cls_head = cls_head
        self.average_clips = average_clips
        self.max_test_images = max_test_images
        # One multiply-add: (x - mean) / std = x * scale + shift.
        scale = 1 / torch.tensor(list(std), dtype=torch.float64)
        shift = -torch.tensor(list(mean), dtype=torch.float64) * scale
        self.register_buffer("scale", scale.float(), persistent=False)
        self.register_buffer("shift", shift.float(), persistent=False)

    def forward(self, batch: ClipBatch) -> dict[str, Tensor]:
        """`video` (N, V, T, H, W, C), uint8 or on the same scale -> `logits` (N, V, K)."""
        return {"logits": self.logits(self.normalise(batch["video"]))}

    def normalise(self, video: Tensor) -> Tensor:
        """(N, V, T, H, W, C), 0 to 255 -> (N, V, T, C, H, W), channels last in memory as before.

        Computed in the precision of the weights, given in that of the first convolution.
        """
        width, channels = video.shape[-2:]
        if channels % len(self.scale):
            raise ValueError(
                f"model.net.mean and model.net.std have {len(self.scale)} values, the frames "
                f"{channels} channels: give one value for each, or one for all"
            )
        # Whole rows at once: several times faster on a processor than factors that change with
        # every value.
        repeats = width * channels // len(self.scale)
        rows = video.flatten(-2).to(self.scale.dtype)
        rows = torch.addcmul(self.shift.repeat(repeats), rows, self.scale.repeat(repeats))
        device = video.device.type
        if torch.is_autocast_enabled(device):
            rows = rows.to(torch.get_autocast_dtype(device))
        return rows.unflatten(-1, (width, channels)).movedim(-1, -3)

    def logits(self, clips: Tensor) -> Tensor:
        """Normalised clips (N, V, T, C, H, W) -> (N, V, K)."""
        num_samples, num_views, num_frames = clips.shape[:3]
        features = self.backbone(clips.flatten(0, 2))
        return self.cls_head(features, num_frames).unflatten(0, (num_samples, num_views))

    @torch.no_grad()
    def predict(self, batch: ClipBatch | ViewBatch) -> dict[str, Tensor]:
        """`scores` (N, K) float32, or (N, V, K) where views are not averaged."""
        views_of: Any = batch.get("frames", batch["video"])
        num_samples, num_views, num_frames = views_of.shape[:3]
        samples = min(num_samples, max(1, self.max_test_images // num_frames))
        views = max(1, self.max_test_images // (num_frames * samples))
        rows = []
        for row in range(0, num_samples, samples):
            part = _rows(batch, row, row + samples)
            logits = [
                self.logits(self.normalise(_views(part, view, view + views)))
                for view in range(0, num_views, views)
            ]
            rows.append(torch.cat(logits, dim=1).float())
        joint = getattr(self.cls_head, "joint_views", False)
        return {"scores": average_views(torch.cat(rows), self.average_clips, joint)}


def average_views(logits: Tensor, average_clips: AverageClips | None, joint: bool) -> Tensor:
    """The scores of a video from those of its views.

    logits: (N, V, K). "prob": the mean of the views' softmax, or, for `joint` ones, the softmax of
    their mean; "score": the mean of the logits; "none": (N, V, K) as they are.
    """
    if average_clips is None or average_clips == "none":
        return logits
    if average_clips == "score":
        return logits.mean(dim=1)
    if joint:
        return logits.mean(dim=1).softmax(dim=-1)
    return logits.softmax(dim=-1).mean(dim=1)


def _rows(batch: Any, start: int, stop: int) -> Any:
    keys = ("video", "frames", "crop")
    return {key: batch[key][start:stop] for key in keys if key in batch}


def _views(batch: Any, start: int, stop: int) -> Tensor:
    if "frames" in batch:
        return cut_views(batch, start, stop)
    return batch["video"][:, start:stop]
