"""RandAugment and random erasing of clips: one draw for all frames."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

MAX_MAGNITUDE = 10


class RandAugment:
    """A few random operations of one strength on a clip (Cubuk et al., NeurIPS 2020).

    The operations and their ranges are those of PyTorchVideo, which published recipes for video
    transformers use, with two differences on purpose: the threshold of solarize is on the frames'
    own scale 0 to 255 (there almost every pixel is inverted), and what comes in from outside is
    grey (there almost black). Works on the cropped clip.

    magnitude: strength of the operations, 0 to 10; that of each is drawn around it with standard
        deviation `magnitude_std`.
    num_layers: different operations chosen for a clip.
    prob: each of them is applied with this probability.
    fill: grey value of the pixels that come from outside the frame.
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
        """(F, H, W, 3) uint8 -> the same. ValueError for frames that are not RGB."""
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
    """An operation that has no strength."""

    def operation(video: "Tensor", level: float, sign: float, fill: int) -> "Tensor":
        return _functional(name)(video)

    return operation


def _functional(name: str) -> Any:
    from torchvision.transforms.v2 import functional

    return getattr(functional, name)


def _affine(video: "Tensor", fill: int, **changes: Any) -> "Tensor":
    from torchvision.transforms.v2 import InterpolationMode

    identity = {"angle": 0.0, "translate": [0.0, 0.0], "scale": 1.0, "shear": [0.0, 0.0]}
    bilinear = InterpolationMode.BILINEAR
    return _functional("affine")(video, **identity | changes, interpolation=bilinear, fill=fill)


def _rotate(video: "Tensor", level: float, sign: float, fill: int) -> "Tensor":
    return _affine(video, fill, angle=30 * level * sign)


def _shear_x(video: "Tensor", level: float, sign: float, fill: int) -> "Tensor":
    """Rows move sideways with their distance from the top."""
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
    """Inverts what is brighter than a threshold, which falls with the strength."""
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


class RandomErasing:
    """Paints over a random box, the same in all frames (Zhong et al., AAAI 2020, algorithm 1).

    erase_prob: probability of erasing anything.
    min_area_ratio, max_area_ratio: of the box in the frame.
    aspect_range: height over width of the box, log-uniform.
    mode: `const` paints `fill_color`; `rand` gives each pixel of the box a random colour, uniform
        or, with `fill_std`, normal around `fill_color`. All frames get the same pixels.
    fill_color, fill_std: one value, or one for each channel.
    """

    def __init__(
        self,
        erase_prob: float = 0.5,
        min_area_ratio: float = 0.02,
        max_area_ratio: float = 1 / 3,
        aspect_range: Sequence[float] = (3 / 10, 10 / 3),
        mode: Literal["const", "rand"] = "const",
        fill_color: float | Sequence[float] = 128,
        fill_std: float | Sequence[float] | None = None,
    ) -> None:
        if not 0 <= erase_prob <= 1:
            raise ValueError(f"RandomErasing: erase_prob={erase_prob} is outside [0, 1]")
        if not 0 <= min_area_ratio <= max_area_ratio <= 1:
            raise ValueError(
                f"RandomErasing: min_area_ratio={min_area_ratio} and max_area_ratio="
                f"{max_area_ratio} are not ordered fractions"
            )
        if len(aspect_range) != 2 or not 0 < aspect_range[0] <= aspect_range[1]:
            raise ValueError(
                f"RandomErasing: aspect_range={list(aspect_range)} is not 0 < low <= high"
            )
        if mode not in ("const", "rand"):
            raise ValueError(f"RandomErasing: mode='{mode}' is neither const nor rand")
        self.erase_prob = erase_prob
        self.area_range = min_area_ratio, max_area_ratio
        self.aspect_range = aspect_range[0], aspect_range[1]
        self.mode = mode
        self.fill_color = np.asarray(fill_color, dtype=np.float64)
        self.fill_std = None if fill_std is None else np.asarray(fill_std, dtype=np.float64)

    def __call__(self, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(F, H, W, C) uint8 -> the same."""
        if rng.random() >= self.erase_prob:
            return frames
        top, left, height, width = self.box(frames.shape[1], frames.shape[2], rng)
        erased = frames.copy()
        shape = height, width, frames.shape[3]
        erased[:, top : top + height, left : left + width] = self._patch(shape, rng)
        return erased

    def box(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """top, left, height, width in a frame of `height` x `width`, cut to fit into it."""
        low, high = (math.log(ratio) for ratio in self.aspect_range)
        ratio = math.exp(rng.uniform(low, high))
        area = rng.uniform(*self.area_range) * height * width
        h = min(round(math.sqrt(area * ratio)), height)
        w = min(round(math.sqrt(area / ratio)), width)
        return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w

    def _patch(self, shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
        if self.mode == "const":
            values = np.broadcast_to(self.fill_color, shape)
        elif self.fill_std is None:
            return rng.integers(0, 256, shape, dtype=np.uint8)
        else:
            values = rng.normal(self.fill_color, self.fill_std, shape)
        return values.clip(0, 255).astype(np.uint8)
