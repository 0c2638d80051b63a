"""Key points of the sampled frames."""

import numpy as np


def take_frames(
    keypoint: np.ndarray, score: np.ndarray | None, frames: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """The frames of all clips in one row, as float32.

    keypoint: (M, T, J, C). score: (M, T, J) or None. frames: (clips, clip_len) frame numbers.
    Returns (M, clips * clip_len, J, C) and (M, clips * clip_len, J).
    """
    numbers = frames.ravel()
    num_frames = keypoint.shape[1]
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < num_frames:
        raise ValueError(
            f"frames {numbers.min()} to {numbers.max()} are asked for, but the key points have "
            f"{num_frames} frames"
        )
    taken = None if score is None else score[:, numbers].astype(np.float32)
    return keypoint[:, numbers].astype(np.float32), taken
