"""The crop, scale and mirror that a decoder applies to a clip, and how steps add up to it."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class CropPlan:
    """What the decoder does with every frame of a clip.

    box: left, top, width, height in pixels of the displayed source frame.
    size: height and width that the box is scaled to.
    flip: mirror left to right after scaling.
    crops: views cut later, on the device: left, top, width, height in pixels of the scaled and
        mirrored frame, and 1 for a view that is mirrored once more.
    flip_vertical: mirror top to bottom after scaling.
    """

    box: tuple[float, float, float, float]
    size: tuple[int, int]
    flip: bool = False
    crops: tuple[tuple[int, int, int, int, int], ...] = ()
    flip_vertical: bool = False

    def move(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (n, 4), x1, y1, x2, y2 in pixels of the source -> of the scaled, mirrored frame.

        Not clipped: what lies outside of the crop stays outside.
        """
        left, top, width, height = self.box
        new_height, new_width = self.size
        x = (boxes[:, 0::2] - left) * (new_width / width)
        y = (boxes[:, 1::2] - top) * (new_height / height)
        if self.flip:
            x = new_width - x[:, ::-1]
        if self.flip_vertical:
            y = new_height - y[:, ::-1]
        return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)


@dataclass
class FrameGeometry:
    """The picture as the steps so far would have made it.

    width, height: its size now. left, top: its place in the source, in source pixels. x, y: the
    source pixels that one of its pixels covers. Mirroring is kept apart: boxes are in the
    coordinates of the picture as mirrored so far.
    """

    width: int
    height: int
    left: float = 0.0
    top: float = 0.0
    x: float = 1.0
    y: float = 1.0
    flip: bool = False
    flip_vertical: bool = False
    crops: list[tuple[int, int, int, int, int]] = field(default_factory=list)

    def resize(self, width: int, height: int) -> None:
        self.x *= self.width / width
        self.y *= self.height / height
        self.width, self.height = width, height

    def crop(self, left: int, top: int, width: int, height: int) -> None:
        """Keep a box of the current picture."""
        if self.flip:
            left = self.width - left - width
        if self.flip_vertical:
            top = self.height - top - height
        self.left += left * self.x
        self.top += top * self.y
        self.width, self.height = width, height

    def plan(self) -> CropPlan:
        box = (self.left, self.top, self.width * self.x, self.height * self.y)
        return CropPlan(
            box, (self.height, self.width), self.flip, tuple(self.crops), self.flip_vertical
        )
