"""Steps on pixels: one draw for all frames of a clip."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class ColorJitter:
    """Random brightness, contrast, saturation and hue, in random order.

    Each is a half width around no change, or a range: a factor for the first three, a fraction of
    the colour circle for hue. Raises ValueError for frames that are not RGB.
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
        import torch
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


def is_torchvision(step: Any) -> bool:
    return type(step).__module__.startswith("torchvision.")


def apply_torchvision(step: Any, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A transform of torchvision.transforms.v2 on a whole clip, its randomness drawn from `rng`.

    (F, H, W, C) uint8 -> (F, h, w, C) of the type that the transform gives.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**62)))
        # A plain tensor: several transforms pass over torchvision's own type for videos in silence.
        result = step(torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2))
    return np.ascontiguousarray(result.permute(0, 2, 3, 1).numpy())
