"""RandAugment of clips: parameters are sampled once per clip."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

MAX_MAGNITUDE = 10


class RandAugment:
    """A few random operations of one strength on a clip (Cubuk et al., NeurIPS 2020).

    The operations and their ranges are those of PyTorchVideo, which published recipes of video
    transformers use, with two intended differences: the threshold of solarize is on the scale of
    the frames, 0 to 255 (there almost every pixel is inverted), and pixels from outside the frame
    are grey (there almost black). Works on the cropped clip.

    magnitude: strength of the operations, 0 to 10; each draws its own from a normal distribution
        around it with standard deviation `magnitude_std`.
    num_layers: number of different operations chosen for a clip.
    prob: probability with which each of them is applied.
    fill: grey value of pixels from outside the frame.
    """

    def __init__(
        self,
        magnitude: float = 9,
        num_layers: int = 2,
        prob: float = 0.5,
        magnitude_std: float = 0.5,
        fill: int = 128,
    ) -> None:
        if not 0 <= magnitude <= MAX_MAGNITUDE:
            raise ValueError(f"RandAugment: magnitude={magnitude} is outside [0, {MAX_MAGNITUDE}]")
        if not 1 <= num_layers <= len(OPERATIONS):
            raise ValueError(
                f"RandAugment: num_layers={num_layers} is outside [1, {len(OPERATIONS)}], the "
                "number of operations"
            )
        if not 0 <= prob <= 1:
            raise ValueError(f"RandAugment: prob={prob} is outside [0, 1]")
        if magnitude_std < 0:
            raise ValueError(f"RandAugment: magnitude_std={magnitude_std} is negative")
        if not 0 <= fill <= 255:
            raise ValueError(f"RandAugment: fill={fill} is outside [0, 255]")
        self.magnitude = magnitude
        self.num_layers = num_layers
        self.prob = prob
        self.magnitude_std = magnitude_std
        self.fill = fill

    def __call__(self, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(F, H, W, 3) uint8 -> the same. Raises ValueError for frames that are not RGB."""
        import torch

        if frames.shape[-1] != 3:
            raise ValueError(
                f"RandAugment needs RGB frames, these have {frames.shape[-1]} channels"
            )
        chosen = rng.choice(len(OPERATIONS), self.num_layers, replace=False)
        video = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
        for number in chosen:
            if rng.random() >= self.prob:
                continue
            magnitude = rng.normal(self.magnitude, self.magnitude_std)
            level = min(max(magnitude / MAX_MAGNITUDE, 0.0), 1.0)
            operation = tuple(OPERATIONS.values())[number]
            video = operation(video, level, 1.0 if rng.random() < 0.5 else -1.0, self.fill)
        return np.ascontiguousarray(video.permute(0, 2, 3, 1).numpy())


# (frames (F, 3, H, W), strength 0 to 1, direction 1 or -1, fill) -> frames of the same shape.
Operation = Callable[["Tensor", float, float, int], "Tensor"]


def _photometric(name: str) -> Operation:
    """An adjustment by a factor, 1 +- 0.9 at full strength."""

    def operation(video: "Tensor", level: float, sign: float, fill: int) -> "Tensor":
        return _functional(name)(video, 1 + 0.9 * level * sign)

    return operation


def _plain(name: str) -> Operation:
    """An operation without a strength."""

    def operation(video: "Tensor", level: float, sign: float, fill: int) -> "Tensor":
        return _functional(name)(video)

    return operation


def _functional(name: str) -> Callable[..., "Tensor"]:
    from torchvision.transforms.v2 import functional

    return getattr(functional, name)


def _affine(video: "Tensor", fill: int, **changes: float | list[float]) -> "Tensor":
    from torchvision.transforms.v2 import InterpolationMode

    identity = {"angle": 0.0, "translate": [0.0, 0.0], "scale": 1.0, "shear": [0.0, 0.0]}
    bilinear = InterpolationMode.BILINEAR
    return _functional("affine")(video, **identity | changes, interpolation=bilinear, fill=fill)


def _rotate(video: "Tensor", level: float, sign: float, fill: int) -> "Tensor":
    return _affine(video, fill, angle=30 * level * sign)


def _shear_x(video: "Tensor", level: float, sign: float, fill: int) -> "Tensor":
    """Rows move sideways in proportion to their distance from the top."""
    angle = math.degrees(math.atan(0.3 * level * sign))
    return _affine(video, fill, shear=[angle, 0.0], center=[0.0, 0.0])


def _shear_y(video: "Tensor", level: float, sign: float, fill: int) -> "Tensor":
    angle = math.degrees(math.atan(0.3 * level * sign))
    return _affine(video, fill, shear=[0.0, angle], center=[0.0, 0.0])


def _translate_x(video: "Tensor", level: float, sign: float, fill: int) -> "Tensor":
    return _affine(video, fill, translate=[0.45 * level * sign * video.shape[-1], 0.0])


def _translate_y(video: "Tensor", level: float, sign: float, fill: int) -> "Tensor":
    return _affine(video, fill, translate=[0.0, 0.45 * level * sign * video.shape[-2]])


def _posterize(video: "Tensor", level: float, sign: float, fill: int) -> "Tensor":
    """Keeps the highest 4 bits, none at full strength."""
    return _functional("posterize")(video, 4 - int(4 * level))


def _solarize(video: "Tensor", level: float, sign: float, fill: int) -> "Tensor":
    """Inverts pixels above a threshold, which falls with the strength."""
    return _functional("solarize")(video, 255 * (1 - level))


OPERATIONS: dict[str, Operation] = {
    "brightness": _photometric("adjust_brightness"),
    "contrast": _photometric("adjust_contrast"),
    "saturation": _photometric("adjust_saturation"),
    "sharpness": _photometric("adjust_sharpness"),
    "autocontrast": _plain("autocontrast"),
    "equalize": _plain("equalize"),
    "invert": _plain("invert"),
    "rotate": _rotate,
    "posterize": _posterize,
    "solarize": _solarize,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
}
