"""Changes of colour: one draw for all frames of a clip."""

from collections.abc import Sequence

import numpy as np


class ColorJitter:
    """Random brightness, contrast, saturation and hue, in random order.

    Each is a half width around no change, or a range: a factor for the first three, a fraction of the
    colour circle for hue.
    """

    def __init__(
        self,
        brightness: float | Sequence[float] = 0.0,
        contrast: float | Sequence[float] = 0.0,
        saturation: float | Sequence[float] = 0.0,
        hue: float | Sequence[float] = 0.0,
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
            raise ValueError(f"ColorJitter needs RGB frames, these have {frames.shape[-1]} channels")
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
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(f"ColorJitter: {name}={value} is negative")
        bounds = max(low, middle - value), min(high, middle + value)
    else:
        bounds = tuple(value)
    if len(bounds) != 2 or not low <= bounds[0] <= bounds[1] <= high:
        raise ValueError(f"ColorJitter: {name}={value} is not a range within [{low}, {high}]")
    return bounds
