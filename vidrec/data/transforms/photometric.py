"""Steps on pixels: parameters are sampled once per clip."""

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor


class ColorJitter:
    """Random brightness, contrast, saturation and hue, in random order.

    Each argument is a half width around the identity, or a range: of a factor for the first three,
    of a fraction of the colour circle for hue. Raises ValueError for frames that are not RGB.
    """

    def __init__(
        self,
        brightness: float | Sequence[float] = 0.5,
        contrast: float | Sequence[float] = 0.5,
        saturation: float | Sequence[float] = 0.5,
        hue: float | Sequence[float] = 0.1,
    ) -> None:
        self.brightness = _range("brightness", brightness, 1.0, 0.0, np.inf)
        self.contrast = _range("contrast", contrast, 1.0, 0.0, np.inf)
        self.saturation = _range("saturation", saturation, 1.0, 0.0, np.inf)
        self.hue = _range("hue", hue, 0.0, -0.5, 0.5)

    def __call__(self, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(F, H, W, 3) uint8 -> the same."""
        from torchvision.transforms.v2 import functional

        if frames.shape[-1] != 3:
            raise ValueError(
                f"ColorJitter needs RGB frames, these have {frames.shape[-1]} channels"
            )
        changes = (
            (functional.adjust_brightness, self.brightness, 1.0),
            (functional.adjust_contrast, self.contrast, 1.0),
            (functional.adjust_saturation, self.saturation, 1.0),
            (functional.adjust_hue, self.hue, 0.0),
        )
        factors = [rng.uniform(low, high) for _, (low, high), _ in changes]
        video = torch.from_numpy(frames).permute(0, 3, 1, 2)
        for i in rng.permutation(len(changes)):
            change, _, identity = changes[i]
            if factors[i] != identity:
                video = change(video, factors[i])
        return np.ascontiguousarray(video.permute(0, 2, 3, 1).numpy())


def _range(
    name: str, value: float | Sequence[float], middle: float, low: float, high: float
) -> tuple[float, float]:
    """The range of a factor, from a range or from a half width around `middle`."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(f"ColorJitter: {name}={value} is negative")
        value = max(low, middle - value), min(high, middle + value)
    if len(value) != 2 or not low <= value[0] <= value[1] <= high:
        raise ValueError(f"ColorJitter: {name}={list(value)} is not a range in [{low}, {high}]")
    return value[0], value[1]


def is_torchvision(step: object) -> bool:
    return type(step).__module__.startswith("torchvision.")


def apply_torchvision(
    step: Callable[..., object], frames: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A transform of torchvision.transforms.v2 on a whole clip, its randomness drawn from `rng`.

    (F, H, W, C) uint8 -> (F, h, w, C) of the type that the transform returns.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**62)))
        # A plain tensor: several transforms silently ignore torchvision's own type for videos.
        video = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
        result = cast(Tensor, step(video))
    return np.ascontiguousarray(result.permute(0, 2, 3, 1).numpy())
