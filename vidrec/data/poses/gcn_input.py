"""Input of the graph networks: a fixed number of persons, clips apart."""

import numpy as np

from vidrec.data.poses.checks import check_keypoint


class FormatGCNInput:
    """Features of the sampled frames with `num_person` persons, one clip after another.

    num_person: later persons are left out, missing ones are filled.
    mode: what missing persons are filled with: `zero`, or `loop`: a single person is repeated, two
        or more are filled with zeros all the same, as published.
    """

    def __init__(self, num_person: int = 2, mode: str = "zero") -> None:
        if num_person < 1:
            raise ValueError(f"FormatGCNInput: num_person={num_person} is below 1")
        if mode not in ("zero", "loop"):
            raise ValueError(f"FormatGCNInput: mode='{mode}' is neither zero nor loop")
        self.num_person = num_person
        self.mode = mode

    def __call__(
        self, keypoint: np.ndarray, score: np.ndarray | None = None, num_clips: int = 1
    ) -> np.ndarray:
        """(M, clips * T, J, C) -> (clips, num_person, T, J, C) float32.

        score: (M, clips * T, J), becomes the last channel.
        """
        check_keypoint("FormatGCNInput", keypoint, (keypoint.shape[-1],), score)
        if score is not None:
            keypoint = np.concatenate([keypoint, score[..., None]], axis=-1)
        num_frames = keypoint.shape[1]
        if num_clips < 1 or num_frames % num_clips:
            raise ValueError(
                f"FormatGCNInput: {num_frames} frames are not {num_clips} clips of equal length"
            )
        repeated = self.mode == "loop" and len(keypoint) == 1
        shape = (self.num_person, num_clips, num_frames // num_clips, *keypoint.shape[2:])
        filled = np.zeros((self.num_person, *keypoint.shape[1:]), np.float32)
        kept = keypoint[: self.num_person]
        filled[: self.num_person if repeated else len(kept)] = kept
        return np.ascontiguousarray(filled.reshape(shape).swapaxes(0, 1))
