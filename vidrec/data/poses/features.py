"""Joints, bones and their motion as input of a graph network (Shi et al., CVPR 2019, section 3)."""

from collections.abc import Sequence

import numpy as np

from vidrec.data.poses.checks import check_keypoint
from vidrec.data.poses.joints import Joints
from vidrec.errors import did_you_mean

FEATURES = ("j", "b", "jm", "bm")


def joint_to_bone(keypoint: np.ndarray, joints: Joints, scored: bool) -> np.ndarray:
    """Vectors from parents to their children, (M, T, J, C) float32, stored at the child.

    scored: the last channel is a score, which becomes the mean of those of the two joints.
    """
    bone = np.zeros(keypoint.shape, np.float32)
    if not joints.bones:
        return bone
    children, parents = (list(side) for side in zip(*joints.bones, strict=True))
    bone[..., children, :] = keypoint[..., children, :] - keypoint[..., parents, :]
    if scored:
        bone[..., children, -1] = (keypoint[..., children, -1] + keypoint[..., parents, -1]) / 2
    return bone


def to_motion(features: np.ndarray, scored: bool) -> np.ndarray:
    """Differences to the next frame, (M, T, J, C); zero in the last frame.

    scored: the last channel is a score, which becomes the mean of those of the two frames.
    """
    motion = np.zeros_like(features)
    motion[:, :-1] = features[:, 1:] - features[:, :-1]
    if scored:
        motion[:, :-1, :, -1] = (features[:, :-1, :, -1] + features[:, 1:, :, -1]) / 2
    return motion


class GenSkeFeat:
    """Features of every joint, one after another on the channels.

    joints: the layout, with `bones`.
    feats: of `j` (joints), `b` (bones), `jm` and `bm` (their motion), in this order.

    Motion needs neighbouring frames: the step comes before frames are sampled.
    """

    def __init__(self, joints: Joints, feats: Sequence[str] = ("j",)) -> None:
        if isinstance(feats, str) or not feats:
            raise ValueError(f"GenSkeFeat: feats={feats!r} is not a list such as ['j', 'bm']")
        for name in feats:
            if name not in FEATURES:
                raise ValueError(
                    f"GenSkeFeat: feats has '{name}'; {did_you_mean(str(name), FEATURES)}"
                )
        if {"b", "bm"} & set(feats) and not joints.bones:
            raise ValueError(f"GenSkeFeat: feats={list(feats)} needs joints with bones")
        self.joints = joints
        self.feats = tuple(feats)

    def __call__(self, keypoint: np.ndarray, score: np.ndarray | None = None) -> np.ndarray:
        """(M, T, J, 2) with or (M, T, J, 2 or 3) without score -> (M, T, J, feats * C) float32.

        score: (M, T, J); of 2D key points, becomes their third channel.
        """
        check_keypoint("GenSkeFeat", keypoint, (2, 3) if score is None else (2,), score)
        if keypoint.shape[2] != len(self.joints):
            raise ValueError(
                f"GenSkeFeat: the key points have {keypoint.shape[2]} joints, the layout has "
                f"{len(self.joints)}"
            )
        scored = score is not None
        if score is not None:
            keypoint = np.concatenate([keypoint, score[..., None]], axis=-1)
        features = [self._feature(name, keypoint, scored) for name in self.feats]
        return np.concatenate(features, axis=-1).astype(np.float32)

    def _feature(self, name: str, keypoint: np.ndarray, scored: bool) -> np.ndarray:
        if name.startswith("b"):
            keypoint = joint_to_bone(keypoint, self.joints, scored)
        return to_motion(keypoint, scored) if name.endswith("m") else keypoint
