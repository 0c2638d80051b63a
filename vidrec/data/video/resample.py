"""From a decoded frame to the pixels of a plan: crop, scale, rotate and mirror upright, flip."""

import math
import struct
from dataclasses import replace
from typing import NamedTuple, cast

import av
import numpy as np
import torch
from av.sidedata.sidedata import SideDataContainer
from av.video.plane import VideoPlane
from av.video.reformatter import Interpolation, VideoReformatter

from vidrec.data.video.decoder import VideoError
from vidrec.data.video.geometry import CropPlan

Box = tuple[float, float, float, float]  # left, top, width, height

# Formats whose planes are cropped before scaling -> the format they are scaled to.
_SCALED_FORMAT = {"yuv420p": "yuv422p", "yuvj420p": "yuvj422p"}
_MAX_TILT = 1.0  # degrees off a right angle that FFmpeg's players disregard


class Orientation(NamedTuple):
    """How a stored frame becomes upright: quarter turns counter-clockwise, then mirrored."""

    turns: int = 0
    mirrored: bool = False


class Cutter:
    """Cuts one plan out of the frames of one video; used by one thread at a time.

    `width` and `height` are those of the plan; the box is scaled for frames of another size.

    Fast: the planes are cropped on the chroma grid (a box may move by up to one pixel) and scaled
    to 4:2:2 before conversion to RGB. swscale has vector code for both steps, but not for scaling
    directly to RGB, which takes twice as long and is further from an exact result.
    Accurate: the whole frame is converted to RGB, then `cut`.
    """

    def __init__(self, plan: CropPlan, width: int, height: int, accurate: bool) -> None:
        self.plan = plan
        self.source_size = width, height
        self.accurate = accurate
        # A reformatter keeps its tables while sizes and formats stay the same: one per step.
        self._scale = VideoReformatter()
        self._convert = VideoReformatter()
        self._kind: tuple[int, int, str, Orientation] | None = None  # of the last frame
        self._part: _PlanesPart | None = None

    def __call__(self, frame: av.VideoFrame, out: np.ndarray) -> None:
        """Write the plan's part of `frame` into `out`, (h, w, 3) uint8."""
        kind = frame.width, frame.height, frame.format.name, orientation(frame)
        if kind != self._kind:
            self._kind = kind
            self._prepare(*kind)
        if self._part is None:
            rgb = self._convert.reformat(frame, format="rgb24", threads=1)
            pixels = cut(_pixels(rgb), self._box, self._size, self.accurate)
        else:
            scaled = self._scale.reformat(
                self._part(frame),
                width=self._size[1],
                height=self._size[0],
                format=_SCALED_FORMAT[frame.format.name],
                interpolation=Interpolation.BILINEAR,
                threads=1,
            )
            pixels = _pixels(self._convert.reformat(scaled, format="rgb24", threads=1))
        place(np.rot90(pixels, self._turns) if self._turns else pixels, self._placed, out)

    def _prepare(self, width: int, height: int, pixel_format: str, upright: Orientation) -> None:
        """Set box and size in the stored frame, and the part of the planes to scale."""
        self._turns = turns = upright.turns
        self._placed = replace(self.plan, flip=self.plan.flip != upright.mirrored)
        shown = (width, height) if turns % 2 == 0 else (height, width)
        left, top, w, h = fit_box(self.plan.box, self.source_size, shown)
        if upright.mirrored:
            left = shown[0] - left - w
        self._box = _stored_box((left, top, w, h), turns, width, height)
        self._size = self.plan.size if turns % 2 == 0 else self.plan.size[::-1]
        unscaled = _whole(self._box) and (round(self._box[3]), round(self._box[2])) == self._size
        fast = not (self.accurate or unscaled) and pixel_format in _SCALED_FORMAT
        self._part = _PlanesPart(self._box, width, height, pixel_format) if fast else None


class _PlanesPart:
    """Crops 8-bit 4:2:0 frames of one size, into one buffer that the next frame overwrites."""

    def __init__(self, box: Box, width: int, height: int, pixel_format: str) -> None:
        left, right = _on_grid(box[0], box[2], width)
        top, bottom = _on_grid(box[1], box[3], height)
        self._whole_frame = (right - left, bottom - top) == (width, height)
        if self._whole_frame:
            return
        left, right = _on_grid(box[0], box[2], width, step=2)
        top, bottom = _on_grid(box[1], box[3], height, step=2)
        fine = slice(top, bottom), slice(left, right)
        coarse = slice(top // 2, bottom // 2), slice(left // 2, right // 2)
        self._frame = av.VideoFrame(right - left, bottom - top, pixel_format)
        self._windows = fine, coarse, coarse
        self._targets = [
            plane_rows(plane)[: rows.stop - rows.start, : columns.stop - columns.start]
            for plane, (rows, columns) in zip(self._frame.planes, self._windows, strict=True)
        ]

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        if self._whole_frame:
            return frame
        for plane, target, window in zip(frame.planes, self._targets, self._windows, strict=True):
            target[:] = plane_rows(plane)[window]
        self._frame.colorspace = frame.colorspace
        self._frame.color_range = frame.color_range
        return self._frame


def orientation(frame: av.VideoFrame) -> Orientation:
    """How a player shows the frame, by the display matrix of its container or its EXIF data.

    Raises VideoError if that is rotated by something else than a right angle.
    """
    try:
        # Not `frame.side_data`: frame and container would hold each other, and hundreds of frames
        # would pile up until Python looks for cycles.
        side_data = SideDataContainer(frame)  # type: ignore[call-arg]
        data = cast(bytes | None, side_data.get("DISPLAYMATRIX"))
    except ValueError:
        # There are also data of a kind that PyAV does not know (EXIF, views of stereo videos): then
        # the angle is known, but not whether the frame is mirrored.
        return Orientation(round(frame.rotation / 90) % 4)
    if data is None:
        return Orientation()
    # Stored pixel (p, q) is shown at (a p + c q, b p + d q), up to scale and offset.
    a, b, _, c, d, *_ = struct.unpack("=9i", data)
    mirrored = a * d < b * c
    if mirrored:
        a, c = -a, -c
    x_scale, y_scale = math.hypot(a, c), math.hypot(b, d)
    if not x_scale or not y_scale:  # no matrix at all: players disregard it
        return Orientation()
    degrees = math.degrees(math.atan2(b / y_scale, a / x_scale))  # clockwise
    turns = round(degrees / 90)
    if abs(degrees - 90 * turns) > _MAX_TILT:
        raise VideoError(
            f"its header says to rotate it by {degrees:.0f} degrees, only multiples of 90 are "
            "supported; encode it upright: ffmpeg -i VIDEO NEW.mp4"
        )
    return Orientation(-turns % 4, mirrored)


def upright_size(frame: av.VideoFrame, name: str) -> tuple[int, int]:
    """Width and height of the frame when it is upright. Raises VideoError, as `orientation`."""
    try:
        turns = orientation(frame).turns
    except VideoError as error:
        raise VideoError(f"{name}: {error}") from None
    return (frame.height, frame.width) if turns % 2 else (frame.width, frame.height)


def cut(image: np.ndarray, box: Box, size: tuple[int, int], accurate: bool = True) -> np.ndarray:
    """The part `box` of `image` (H, W, C) uint8, scaled by an antialiased bilinear filter.

    See `Steps` for how the box is rounded.
    """
    steps = cutting_steps(box, size, (image.shape[0], image.shape[1]), accurate)
    if steps.scaled:
        image = _resized(image, steps.scaled)
    return _resized(image[steps.rows, steps.columns], size)


class Steps(NamedTuple):
    """How a box is cut: the image is scaled, these rows and columns are cut, and scaled in turn.

    A box that has whole pixels after scaling but not before comes from resize-then-crop: the whole
    image is scaled to (height, width) `scaled` and then cut. Other boxes are rounded to whole
    pixels, and `scaled` is None.
    """

    scaled: tuple[int, int] | None
    rows: slice
    columns: slice


def cutting_steps(
    box: Box, size: tuple[int, int], image_size: tuple[int, int], accurate: bool = True
) -> Steps:
    """The steps from an image of (height, width) to its part `box`, scaled to `size`.

    accurate: look for resize-then-crop.
    """
    height, width = image_size
    if accurate and not _whole(box):
        x, y = size[1] / box[2], size[0] / box[3]
        scaled = box[0] * x, box[1] * y, width * x, height * y
        if _whole(scaled):
            left, top, full_width, full_height = (round(value) for value in scaled)
            rows, columns = slice(top, top + size[0]), slice(left, left + size[1])
            return Steps((full_height, full_width), rows, columns)
    left, right = _on_grid(box[0], box[2], width)
    top, bottom = _on_grid(box[1], box[3], height)
    return Steps(None, slice(top, bottom), slice(left, right))


def place(pixels: np.ndarray, plan: CropPlan, out: np.ndarray) -> None:
    """Copy `pixels` (h, w, C) into `out`, mirrored as the plan says."""
    if plan.flip_vertical:
        pixels = pixels[::-1]
    if plan.flip:  # numpy takes ten times as long for reversed pixels
        source = torch.from_numpy(np.ascontiguousarray(pixels))
        torch.from_numpy(out).copy_(source.flip(1))
    else:
        out[:] = pixels


def fit_box(box: Box, planned: tuple[int, int], actual: tuple[int, int]) -> Box:
    """A box planned for one (width, height), in a frame of another."""
    if planned == actual:
        return box
    x, y = actual[0] / planned[0], actual[1] / planned[1]
    return box[0] * x, box[1] * y, box[2] * x, box[3] * y


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if image.shape[:2] == size:
        return image
    tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).unsqueeze(0)
    resized = torch.nn.functional.interpolate(tensor, size=size, mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).numpy()


def _stored_box(box: Box, turns: int, width: int, height: int) -> Box:
    """A box of the rotated frame in the stored one of `width` x `height`."""
    left, top, w, h = box
    match turns:
        case 1:
            return width - top - h, left, h, w
        case 2:
            return width - left - w, height - top - h, w, h
        case 3:
            return top, height - left - w, h, w
    return box


def _whole(values: tuple[float, ...]) -> bool:
    return all(abs(value - round(value)) < 1e-4 for value in values)


def _on_grid(start: float, length: float, limit: int, step: int = 1) -> tuple[int, int]:
    """First and past-the-last pixel of an edge of a box, multiples of `step` up to `limit`."""
    cells = limit // step
    first = min(max(round(start / step), 0), cells - 1)
    last = min(max(round((start + length) / step), first + 1), cells)
    return first * step, last * step


def plane_rows(plane: VideoPlane) -> np.ndarray:
    """The rows of a plane of bytes, each with its padding, without copying."""
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)


def _pixels(frame: av.VideoFrame) -> np.ndarray:
    """The pixels of an rgb24 frame, (H, W, 3), without copying."""
    plane = frame.planes[0]
    return np.ndarray(
        (frame.height, frame.width, 3), np.uint8, memoryview(plane), strides=(plane.line_size, 3, 1)
    )
