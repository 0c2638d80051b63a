"""The crop, scale and mirroring that a decoder applies to a clip, composed of single steps."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class CropPlan:
    """The transform that the decoder applies to every frame of a clip.

    box: left, top, width, height in pixels of the upright source frame.
    size: height and width to which the box is scaled.
    flip: mirror left to right after scaling.
    crops: views that are cut later on the device: left, top, width, height in pixels of the scaled
        and mirrored frame, and 1 for a view that is mirrored again.
    flip_vertical: mirror top to bottom after scaling.
    """

    box: tuple[float, float, float, float]
    size: tuple[int, int]
    flip: bool = False
    crops: tuple[tuple[int, int, int, int, int], ...] = ()
    flip_vertical: bool = False

    def move(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (n, 4), x1, y1, x2, y2 in pixels of the source -> of the scaled, mirrored frame.

        They are not clipped.
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

    @property
    def central_crop(self) -> tuple[int, int, int, int, int]:
        """Of `crops`, the one nearest to the centre, not mirrored if there are both."""
        height, width = self.size

        def distance(crop: tuple[int, int, int, int, int]) -> tuple[int, int]:
            left, top, w, h, mirrored = crop
            return abs(2 * left + w - width) + abs(2 * top + h - height), mirrored

        return min(self.crops, key=distance)

    def central_view(self) -> "CropPlan":
        """The plan of the central crop alone; the plan itself if it has no crops."""
        if not self.crops:
            return self
        left, top, width, height, mirrored = self.central_crop
        left = self.size[1] - left - width if self.flip else left
        top = self.size[0] - top - height if self.flip_vertical else top
        x, y = self.box[2] / self.size[1], self.box[3] / self.size[0]
        box = (self.box[0] + left * x, self.box[1] + top * y, width * x, height * y)
        flip = self.flip != bool(mirrored)
        return CropPlan(box, (height, width), flip, (), self.flip_vertical)


@dataclass
class FrameGeometry:
    """The frame after the steps so far.

    width, height: current size. left, top: position in the source, in source pixels. x, y: source
    pixels per pixel. Mirroring is recorded separately: crops are given in the coordinates of the
    frame as mirrored so far.
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
        """Keep a box of the current frame."""
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
