"""Key points of Kinetics-400 as published: one row per detected person, not per frame."""

import numpy as np


class DecompressPose:
    """Rows of persons -> arrays of persons and frames.

    The k-th row of a frame becomes person k of that frame: persons are not tracked.

    squeeze: leave out frames without persons.
    max_person: at most as many persons; where a frame has more, they are sorted by their summed
        scores in all frames of the clip, and the first ones stay.
    """

    def __init__(self, squeeze: bool = True, max_person: int = 10) -> None:
        if max_person < 1:
            raise ValueError(f"DecompressPose: max_person={max_person} is below 1")
        self.squeeze = squeeze
        self.max_person = max_person

    def __call__(
        self,
        keypoint: np.ndarray,
        frame_inds: np.ndarray,
        total_frames: int,
        anno_inds: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Key points (M, T, J, 2) and scores (M, T, J), float16.

        keypoint: (N, J, 3) x, y in pixels and score. frame_inds: (N,) frame of each row,
        ascending. total_frames: of the video, which is T unless frames are left out.
        anno_inds: the rows to use; None for all.
        """
        _check_rows(keypoint, frame_inds)
        if anno_inds is not None:
            keypoint, frame_inds = keypoint[anno_inds], frame_inds[anno_inds]
        _check_frames(frame_inds, total_frames)
        if self.squeeze:
            present, frame_inds = np.unique(frame_inds, return_inverse=True)
            total_frames = len(present)
        person = np.arange(len(frame_inds)) - np.searchsorted(frame_inds, frame_inds)
        shape = (int(person.max()) + 1, total_frames, keypoint.shape[1])
        points, score = np.zeros((*shape, 2), np.float16), np.zeros(shape, np.float16)
        points[person, frame_inds] = keypoint[..., :2]
        score[person, frame_inds] = keypoint[..., 2]
        if len(points) > self.max_person:
            # Stable, and the empty rows of a frame are its last: they stay behind the persons.
            order = np.argsort(-score.sum(axis=-1), axis=0, kind="stable")[: self.max_person]
            frames = np.arange(total_frames)
            points, score = points[order, frames], score[order, frames]
        return points, score


def _check_rows(keypoint: np.ndarray, frame_inds: np.ndarray) -> None:
    if keypoint.ndim != 3 or keypoint.shape[-1] != 3:
        raise ValueError(
            f"DecompressPose: key points have the shape {keypoint.shape}, not (rows, joints, 3) "
            "with x, y and score"
        )
    if frame_inds.shape != keypoint.shape[:1]:
        raise ValueError(
            f"DecompressPose: frame_inds has the shape {frame_inds.shape} for {len(keypoint)} "
            "rows of key points"
        )


def _check_frames(frame_inds: np.ndarray, total_frames: int) -> None:
    if not len(frame_inds):
        raise ValueError("DecompressPose: the clip has no persons")
    if (np.diff(frame_inds) < 0).any():
        row = int(np.argmax(np.diff(frame_inds) < 0)) + 1
        raise ValueError(
            f"DecompressPose: frame_inds is not ascending: frame {frame_inds[row]} of row {row} "
            f"comes after frame {frame_inds[row - 1]}"
        )
    if frame_inds[0] < 0 or frame_inds[-1] >= total_frames:
        raise ValueError(
            f"DecompressPose: frame_inds reaches from {frame_inds[0]} to {frame_inds[-1]}, but "
            f"the video has {total_frames} frames"
        )
