"""What every step on key points demands of its arrays."""

import numpy as np


def check_keypoint(
    step: str, keypoint: np.ndarray, channels: tuple[int, ...], score: np.ndarray | None = None
) -> None:
    """Raise ValueError unless keypoint is (M, T, J, C), C one of `channels`, score (M, T, J)."""
    if keypoint.ndim != 4 or keypoint.shape[-1] not in channels:
        wanted = " or ".join(str(number) for number in channels)
        raise ValueError(
            f"{step}: key points have the shape {keypoint.shape}, not (persons, frames, joints, "
            f"coordinates) with {wanted} coordinates"
        )
    if score is not None and score.shape != keypoint.shape[:3]:
        raise ValueError(
            f"{step}: scores have the shape {score.shape}, but the key points have "
            f"(persons, frames, joints) = {keypoint.shape[:3]}"
        )
