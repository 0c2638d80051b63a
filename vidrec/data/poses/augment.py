"""Random rotation, scaling and noise of whole clips, as in PYSKL (Duan et al., ACM MM 2022).

Key points are (M, T, J, C), C coordinates without scores.
"""

from collections.abc import Sequence

import numpy as np

from vidrec.data.poses.checks import check_keypoint

_ABSENT = 1e-4  # squared length of the lowest coordinates below which a person counts as absent


class RandomRot:
    """Turn a clip by random angles, the same for all frames.

    theta: largest angle in radians, about each of the axes x, y and z (3D) or in the plane (2D).
    """

    def __init__(self, theta: float = 0.3) -> None:
        if theta < 0:
            raise ValueError(f"RandomRot: theta={theta} is negative")
        self.theta = theta

    def __call__(self, keypoint: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(M, T, J, 2 or 3) about the origin -> the same shape and type."""
        check_keypoint("RandomRot", keypoint, (2, 3))
        if keypoint.shape[-1] == 2:
            matrix = plane_rotation(rng.uniform(-self.theta, self.theta))
        else:
            matrix = space_rotation(rng.uniform(-self.theta, self.theta, size=3))
        return (keypoint @ matrix.T).astype(keypoint.dtype)


def plane_rotation(angle: float) -> np.ndarray:
    """(2, 2), counter-clockwise by `angle` radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def space_rotation(angles: np.ndarray) -> np.ndarray:
    """(3, 3), by (3,) radians about x, then y, then z, clockwise seen from their positive ends."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[np.ix_([first, second], [first, second])] = plane_rotation(-angle)
        matrix = turn @ matrix
    return matrix


class RandomScale:
    """Stretch a clip along each coordinate by a random factor, the same for all frames.

    scale: factors are uniform in [1 - scale, 1 + scale]; one number, or one per coordinate.
    """

    def __init__(self, scale: float | Sequence[float] = 0.2) -> None:
        self.scale = scale if isinstance(scale, (int, float)) else tuple(scale)
        if np.min(self.scale) < 0:
            raise ValueError(f"RandomScale: scale={scale} is negative")

    def __call__(self, keypoint: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(M, T, J, C) -> the same shape and type."""
        check_keypoint("RandomScale", keypoint, (2, 3))
        channels = keypoint.shape[-1]
        if not isinstance(self.scale, (int, float)) and len(self.scale) != channels:
            raise ValueError(
                f"RandomScale: scale={list(self.scale)} has {len(self.scale)} numbers for "
                f"{channels} coordinates"
            )
        factors = 1 + rng.uniform(-1, 1, size=channels) * np.array(self.scale)
        return (keypoint * factors).astype(keypoint.dtype)


class RandomGaussianNoise:
    """Move every joint in a random direction by a normally distributed distance.

    sigma: standard deviation of the distance, as a fraction of the diagonal of the box around the
        joints. base: the box of a person in a `frame`, or that of all persons in the `video`.
    shared: one draw per joint for all persons and frames, with base `video`.

    Persons that are absent, all joints zero, stay so.
    """

    def __init__(self, sigma: float = 0.01, base: str = "frame", shared: bool = False) -> None:
        if sigma < 0:
            raise ValueError(f"RandomGaussianNoise: sigma={sigma} is negative")
        if base not in ("frame", "video"):
            raise ValueError(f"RandomGaussianNoise: base='{base}' is neither frame nor video")
        if shared and base == "frame":
            raise ValueError("RandomGaussianNoise: shared=true needs base='video'")
        self.sigma = sigma
        self.base = base
        self.shared = shared

    def __call__(self, keypoint: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(M, T, J, C) -> the same shape and type."""
        check_keypoint("RandomGaussianNoise", keypoint, (2, 3))
        num_joints, channels = keypoint.shape[2:]
        drawn = (1, 1, num_joints) if self.shared else keypoint.shape[:3]
        distance = rng.standard_normal(drawn) * self.sigma * self.diagonal(keypoint)[..., None]
        direction = rng.uniform(-1, 1, size=(*drawn, channels))
        direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
        return (keypoint + direction * distance[..., None]).astype(keypoint.dtype)

    def diagonal(self, keypoint: np.ndarray) -> np.ndarray:
        """(M, T): of the box that noise is relative to; zero for absent persons."""
        low, high = keypoint.min(axis=2), keypoint.max(axis=2)  # (M, T, C)
        present = (low**2).sum(axis=-1) > _ABSENT
        if self.base == "frame" or not present.any():
            return np.linalg.norm(high - low, axis=-1) * present
        box = high[present].max(axis=0) - low[present].min(axis=0)
        return np.linalg.norm(box) * present
