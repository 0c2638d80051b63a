"""Random erasing of clips: the box is sampled once per clip."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np


class RandomErasing:
    """Paint over a random box, the same in all frames (Zhong et al., AAAI 2020, algorithm 1).

    erase_prob: probability of erasing at all.
    min_area_ratio, max_area_ratio: area of the box, as a fraction of the frame.
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
