"""Coordinates made independent of the frame size (2D) or of the camera (3D)."""

from collections.abc import Sequence

import numpy as np

from vidrec.data.poses.checks import check_keypoint

_SMALL = 1e-6  # lengths and angles below it count as zero


class PreNormalize2D:
    """Key points in pixels -> in [-1, 1], both axes from edge to edge.

    img_shape: (height, width) of clips whose size is not known, in pixels.
    threshold: joints with a score up to it are moved to the centre, (0, 0).
    mode: `fix` divides by the size of the frame; `auto` by the box around the joints of the clip
        that are above the threshold, and leaves boxes of at most 10 pixels as they are.
    """

    def __init__(
        self,
        img_shape: Sequence[int] = (1080, 1920),
        threshold: float = 0.0,
        mode: str = "fix",
    ) -> None:
        if len(img_shape) != 2 or min(img_shape) < 1:
            raise ValueError(
                f"PreNormalize2D: img_shape={list(img_shape)} is not [height, width] in pixels"
            )
        if mode not in ("fix", "auto"):
            raise ValueError(f"PreNormalize2D: mode='{mode}' is neither fix nor auto")
        self.img_shape = tuple(img_shape)
        self.threshold = threshold
        self.mode = mode

    def __call__(
        self,
        keypoint: np.ndarray,
        score: np.ndarray | None = None,
        size: Sequence[int] | None = None,
    ) -> np.ndarray:
        """(M, T, J, 2) pixels -> (M, T, J, 2) float32.

        score: (M, T, J). size: (height, width) of the frames.
        """
        check_keypoint("PreNormalize2D", keypoint, (2,), score)
        keypoint = keypoint.astype(np.float32)
        present = None if score is None else score.astype(np.float32) > self.threshold
        if self.mode == "auto":
            keypoint = _fitted(keypoint, present)
        else:
            height, width = size if size is not None else self.img_shape
            half = np.array([width / 2, height / 2], np.float32)
            keypoint = (keypoint - half) / half
        if present is not None:
            keypoint[~present] = 0
        return keypoint


def _fitted(keypoint: np.ndarray, present: np.ndarray | None) -> np.ndarray:
    """Scale the box around the joints that are present to [-1, 1]."""
    points = keypoint.reshape(-1, 2) if present is None else keypoint[present]
    if not len(points):
        return keypoint
    low, high = points.min(axis=0), points.max(axis=0)
    if not (high - low > 10).all():
        return keypoint
    return (keypoint - (high + low) / 2) / (high - low) * 2


class PreNormalize3D:
    """Bodies in the middle and upright, facing the same way (NTU RGB+D; Shi et al., CVPR 2019).

    Frames in which the main person is absent (all joints zero) are dropped. The main person is the
    first; of two the one that is present in more frames, who becomes the first.

    zaxis: two joints whose line becomes the z axis: base and top of the spine.
    xaxis: two joints whose line becomes the x axis: right and left shoulder.
    align_spine, align_shoulder: whether to turn the z and the x axis. Both lines are those of the
        main person in the first frame.
    align_center: whether to move the middle of the spine of that skeleton to the origin: joint 1 of
        25, the last joint of any other layout. Absent joints stay zero.
    """

    def __init__(
        self,
        zaxis: Sequence[int] = (0, 1),
        xaxis: Sequence[int] = (8, 4),
        align_spine: bool = True,
        align_shoulder: bool = True,
        align_center: bool = True,
    ) -> None:
        for name, axis in (("zaxis", zaxis), ("xaxis", xaxis)):
            if len(axis) != 2 or min(axis) < 0:
                raise ValueError(f"PreNormalize3D: {name}={list(axis)} is not two joints")
        self.zaxis = tuple(zaxis)
        self.xaxis = tuple(xaxis)
        self.align_spine = align_spine
        self.align_shoulder = align_shoulder
        self.align_center = align_center

    def __call__(self, keypoint: np.ndarray) -> np.ndarray:
        """(M, T, J, 3) with one or two persons -> (M, T', J, 3) float64, T' <= T."""
        check_keypoint("PreNormalize3D", keypoint, (3,))
        num_persons, _, num_joints, _ = keypoint.shape
        if num_persons not in (1, 2):
            raise ValueError(
                f"PreNormalize3D: the clip has {num_persons} persons, but it is defined for one "
                "or two"
            )
        self._check_axes(num_joints)
        skeleton = _frames_of_main_person(keypoint)
        if not skeleton.shape[1]:
            return keypoint.astype(np.float64)
        if self.align_center:
            middle = skeleton[0, 0, 1 if num_joints == 25 else -1]
            absent = (skeleton == 0).all(axis=-1, keepdims=True)
            skeleton = np.where(absent, 0, skeleton - middle)
        skeleton = skeleton.astype(np.float64)
        if self.align_spine:
            bottom, top = skeleton[0, 0, list(self.zaxis)]
            skeleton = skeleton @ rotation_onto(top - bottom, np.array([0.0, 0.0, 1.0])).T
        if self.align_shoulder:
            right, left = skeleton[0, 0, list(self.xaxis)]
            skeleton = skeleton @ rotation_onto(right - left, np.array([1.0, 0.0, 0.0])).T
        return skeleton

    def _check_axes(self, num_joints: int) -> None:
        used = {"zaxis": (self.zaxis, self.align_spine), "xaxis": (self.xaxis, self.align_shoulder)}
        for name, (axis, is_used) in used.items():
            if is_used and max(axis) >= num_joints:
                raise ValueError(
                    f"PreNormalize3D: {name}={list(axis)} has joint {max(axis)}, which does not "
                    f"exist: the key points have {num_joints} joints"
                )


def _frames_of_main_person(keypoint: np.ndarray) -> np.ndarray:
    """The main person first, and the frames in which that person is present."""
    present = ~np.isclose(keypoint, 0).all(axis=(2, 3))  # (M, T)
    main = int(np.argmax(present.sum(axis=1)))  # the first of equals
    order = [main, *(person for person in range(len(keypoint)) if person != main)]
    return keypoint[order][:, present[main]]


def rotation_onto(vector: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """(3, 3) float64: the smallest rotation that turns `vector` into the direction of `axis`.

    The identity for vectors of zeros, and for those along `axis` in either direction, where the
    axis of rotation is not defined. Rodrigues' formula.
    """
    identity = np.eye(3)
    if np.abs(vector).sum() < _SMALL:
        return identity
    cosine = np.dot(vector / np.linalg.norm(vector), axis / np.linalg.norm(axis))
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    normal = np.cross(vector, axis)
    if np.abs(normal).sum() < _SMALL or angle < _SMALL:
        return identity
    x, y, z = normal / np.linalg.norm(normal)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return identity + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
