"""A transform: a step on the pixels of a clip."""

import numpy as np


class Brightness:
    """All frames of a clip become brighter or darker by the same factor.

    amount: the factor is from [1 - amount, 1 + amount].
    """

    def __init__(self, amount: float = 0.2) -> None:
        if not 0 <= amount <= 1:
            raise ValueError(f"Brightness: amount={amount} is outside [0, 1]")
        self.amount = amount

    def __call__(self, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(F, H, W, C) uint8 -> the same. Parameters are sampled once per clip, from `rng`."""
        factor = rng.uniform(1 - self.amount, 1 + self.amount)
        return np.clip(frames * factor, 0, 255).astype(np.uint8)
