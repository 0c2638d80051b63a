"""Crops, scaling and mirroring of key points in pixels."""

from collections.abc import Sequence

import numpy as np

from vidrec.data.poses.checks import check_keypoint
from vidrec.data.poses.joints import Joints
from vidrec.data.video.geometry import CropPlan


class PoseCompact:
    """Crop to the box around the joints of all frames, enlarged (PoseC3D, Duan et al., 2022, 3.2).

    padding: width and height are enlarged to 1 + padding times theirs.
    threshold: clips whose box is narrower or lower, in pixels, are left as they are.
    hw_ratio: height over width of the box at least and at most, one number or two; the box grows
        until it is met. None: any.
    allow_imgpad: whether the box may reach beyond the frame.
    """

    def __init__(
        self,
        padding: float = 0.25,
        threshold: float = 10,
        hw_ratio: float | Sequence[float] | None = None,
        allow_imgpad: bool = True,
    ) -> None:
        if padding < 0:
            raise ValueError(f"PoseCompact: padding={padding} is negative")
        ratio = (hw_ratio, hw_ratio) if isinstance(hw_ratio, (int, float)) else hw_ratio
        if ratio is not None and (len(ratio) != 2 or not 0 < ratio[0] <= ratio[1]):
            raise ValueError(
                f"PoseCompact: hw_ratio={hw_ratio!r} is not a positive number or [least, most]"
            )
        self.padding = padding
        self.threshold = threshold
        self.hw_ratio = None if ratio is None else (ratio[0], ratio[1])
        self.allow_imgpad = allow_imgpad

    def __call__(
        self, keypoint: np.ndarray, size: Sequence[int]
    ) -> tuple[np.ndarray, tuple[int, int]]:
        """Key points (M, T, J, 2) in pixels of the box, and its (height, width).

        size: (height, width) of the frames. Coordinates of absent joints, which are zero or NaN,
        do not count and become zero.
        """
        check_keypoint("PoseCompact", keypoint, (2,))
        keypoint = np.where(np.isnan(keypoint), 0, keypoint)
        box = self.box(keypoint, size)
        if box is None:
            return keypoint, (int(size[0]), int(size[1]))
        left, top, right, bottom = box
        moved = keypoint - np.array([left, top], keypoint.dtype)
        return np.where(keypoint != 0, moved, 0), (bottom - top, right - left)

    def box(self, keypoint: np.ndarray, size: Sequence[int]) -> tuple[int, int, int, int] | None:
        """left, top, right, bottom in whole pixels; None if the frame stays as it is."""
        columns = [axis[axis != 0] for axis in (keypoint[..., 0], keypoint[..., 1])]
        if not all(len(column) for column in columns):
            return None
        low, high = ([float(f(column)) for column in columns] for f in (np.min, np.max))
        if min(high[0] - low[0], high[1] - low[1]) < self.threshold:
            return None
        x, y = ((a + b) / 2 for a, b in zip(low, high, strict=True))
        half_width, half_height = (
            (b - a) / 2 * (1 + self.padding) for a, b in zip(low, high, strict=True)
        )
        if self.hw_ratio is not None:
            half_height = max(self.hw_ratio[0] * half_width, half_height)
            half_width = max(half_height / self.hw_ratio[1], half_width)
        edges = [x - half_width, y - half_height, x + half_width, y + half_height]
        if not self.allow_imgpad:
            height, width = size
            edges = [
                max(0, edges[0]),
                max(0, edges[1]),
                min(width, edges[2]),
                min(height, edges[3]),
            ]
        left, top, right, bottom = (int(edge) for edge in edges)  # towards zero, as published
        return None if right <= left or bottom <= top else (left, top, right, bottom)


def mirror(keypoint: np.ndarray, width: float, joints: Joints) -> np.ndarray:
    """Mirror left to right in a frame of `width` pixels; left and right joints change places.

    keypoint: (M, T, J, 2). x coordinates of zero, as those of absent joints, stay zero.
    """
    _check_layout(keypoint, joints)
    mirrored = keypoint[:, :, joints.mirrored]
    x = mirrored[..., 0]
    mirrored[..., 0] = np.where(x != 0, width - x, 0)
    return mirrored


def apply_plan(
    plan: CropPlan, keypoint: np.ndarray, score: np.ndarray | None, joints: Joints
) -> tuple[np.ndarray, np.ndarray | None]:
    """What the geometric steps of `vidrec.data.transforms` do to frames, done to key points.

    keypoint: (M, T, J, 2) in pixels of the source -> of frames of `plan.size`. score: (M, T, J) or
    None. Left and right joints, and their scores, change places if the plan mirrors.

    As published, coordinates of zero stay zero where frames are only scaled or mirrored; a crop
    moves them like all others, and the score of 0 is what tells an absent joint.
    """
    check_keypoint("apply_plan", keypoint, (2,), score)
    if plan.crops:
        raise ValueError(
            f"the plan cuts {len(plan.crops)} views from a frame; key points need steps that "
            "leave one, such as CenterCrop"
        )
    left, top, width, height = plan.box
    new_height, new_width = plan.size
    # In float64: the box of a plan is not rounded to pixels.
    moved = (keypoint - np.array([left, top])) * np.array([new_width / width, new_height / height])
    if plan.flip_vertical:
        moved[..., 1] = np.where(moved[..., 1] != 0, new_height - moved[..., 1], 0)
    if plan.flip:
        moved = mirror(moved, new_width, joints)
        score = None if score is None else score[:, :, joints.mirrored]
    return moved.astype(keypoint.dtype), score


def _check_layout(keypoint: np.ndarray, joints: Joints) -> None:
    if keypoint.shape[2] != len(joints):
        raise ValueError(
            f"the key points have {keypoint.shape[2]} joints, the layout has {len(joints)}"
        )
