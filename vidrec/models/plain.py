"""A recognition network without batches and views: normalised clips in, logits out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from vidrec.models.recognizer import Recognizer, Recognizer2D, Recognizer3D

INIT_STD = 0.01  # of new classifiers, as in most recipes


@dataclass(frozen=True)
class PlainConfig:
    """What the network was made for.

    frames: T of a clip. interval: from one frame to the next, 1 for segments of a whole video.
    size: H and W in training; fully convolutional networks take others.
    mean, std: per channel, for pixels from 0 to 1: x = (pixels - mean) / std.
    weights: those that were loaded, None for random ones.
    """

    name: str
    num_classes: int
    channels: int
    frames: int
    interval: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: str | None = None


class PlainModel(nn.Module):
    """`net(x)`: clips (N, C, T, H, W), normalised by `mean` and `std`, -> logits (N, K).

    The T frames of networks over single frames (TSN, TSM, ...) are the segments of a video. The
    state dict has the names of the recognizer's, so that each loads the checkpoints of the other.

    net: the recognizer whose parts it takes. classifiers: names of the linear layers that have a
    row for each class.
    """

    def __init__(self, net: Recognizer, config: PlainConfig, classifiers: Sequence[str]) -> None:
        super().__init__()
        if type(net) not in (Recognizer2D, Recognizer3D):
            raise ValueError(
                f"{config.name} builds a {type(net).__name__}, which has no plain form: use "
                "vidrec.build_model"
            )
        self.backbone = net.backbone
        if hasattr(net, "neck"):
            self.neck = net.neck
        self.cls_head = net.cls_head
        self.single_frames = isinstance(net, Recognizer2D)
        self.config = config
        self.classifiers = tuple(classifiers)

    @property
    def num_classes(self) -> int:
        """K; 0 without a classifier, when `net(x)` gives features."""
        return self.config.num_classes

    @property
    def mean(self) -> tuple[float, ...]:
        """Per channel, for pixels from 0 to 1."""
        return self.config.mean

    @property
    def std(self) -> tuple[float, ...]:
        """Per channel, for pixels from 0 to 1."""
        return self.config.std

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, K)."""
        return self.forward_head(self._features(x))

    def forward_features(self, x: Tensor) -> Any:
        """(N, C, T, H, W) -> what the head is given.

        A map (N, C', T', h, w) or a vector (N, C'), a tuple of them (SlowFast, MViT), or maps of
        the single frames (N, T, C', h, w). Raises ValueError for networks of torchvision
        (`model=video`), which have their classifier inside.
        """
        if not any(True for _ in self.cls_head.parameters()) and self.num_classes:
            raise ValueError(
                f"{self.config.name} has its classifier inside its backbone: features are net(x) "
                "after net.reset_classifier(0)"
            )
        return self._features(x)

    def _features(self, x: Tensor) -> Any:
        if not x.is_floating_point() or x.ndim != 5:
            raise ValueError(
                f"x is {x.dtype} of shape {tuple(x.shape)}, expected are float clips (N, C, T, H, "
                "W): x = (pixels / 255 - mean) / std, with net.mean and net.std"
            )
        if not self.single_frames:
            features = self.backbone(x)
        else:
            frames = x.transpose(1, 2)
            features = _unflattened(self.backbone(frames.flatten(0, 1)), x.shape[2])
        if not hasattr(self, "neck"):
            return features
        if self.single_frames:
            features = tuple(maps.transpose(1, 2) for maps in features)
        return self.neck(features)[0]

    def forward_head(self, features: Any) -> Tensor:
        """What `forward_features` returns -> (N, K)."""
        if self.single_frames and not hasattr(self, "neck"):
            return self.cls_head(features.flatten(0, 1), features.shape[1])
        return self.cls_head(features)

    def reset_classifier(self, num_classes: int) -> None:
        """A new, random classifier for other classes; 0: none, `net(x)` gives features (N, C').

        Call it before an optimizer is given the parameters.
        """
        if num_classes < 0:
            raise ValueError(f"num_classes={num_classes} is negative")
        if not self.num_classes:
            raise ValueError("the classifier is gone: create the model again")
        for name in self.classifiers:
            old = self.get_submodule(name)
            assert isinstance(old, nn.Linear)
            new: nn.Module = nn.Identity()
            if num_classes:
                has_bias = old.bias is not None
                new = nn.Linear(old.in_features, num_classes, has_bias).to(old.weight)
                nn.init.normal_(new.weight, std=INIT_STD)
                if has_bias:
                    nn.init.zeros_(new.bias)
            self.set_submodule(name, new)
        self.config = replace(self.config, num_classes=num_classes)


def _unflattened(features: Any, num_frames: int) -> Any:
    """(N * T, ...) -> (N, T, ...), of a map or of each of a tuple."""
    if isinstance(features, tuple):
        return tuple(maps.unflatten(0, (-1, num_frames)) for maps in features)
    return features.unflatten(0, (-1, num_frames))
