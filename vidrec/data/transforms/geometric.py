"""Geometric steps, planned as one crop-and-scale of the source frame, then steps on pixels.

Steps work on a `FrameGeometry`: nothing is resized on the way, the decoder executes the final plan.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from vidrec.data.video.geometry import FrameGeometry


def _pair(value: int | Sequence[int], name: str) -> tuple[int, int]:
    """(width, height) of one number or two."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or any(not isinstance(v, int) or v < 1 for v in pair):
        raise ValueError(
            f"{name}={value!r} is not one positive whole number or two (width, height)"
        )
    return pair[0], pair[1]


# What is known of the size of frames before a video is opened: (width, height), the short side
# alone, or nothing (None).
KnownSize = tuple[int, int] | int | None


class GeometricStep:
    """A step that becomes part of the plan; random numbers are drawn from `rng` alone.

    num_crops: views that the step cuts from a frame; 0 if it cuts none.
    """

    num_crops = 0

    def __call__(self, frame: FrameGeometry, rng: np.random.Generator) -> None:
        """Change the geometry of a frame in place. Every step defines it."""
        raise TypeError(f"{type(self).__name__} does not say what it does to a frame")

    def size_after(self, size: KnownSize) -> KnownSize:
        """What is known of frames (or of the views cut from them) that were of `size` before."""
        return None


class Resize(GeometricStep):
    """Scale frames to a size.

    scale: (width, height). With keep_ratio it is a box that frames are fitted into, in landscape
        or portrait orientation; if one of the two is -1, the other is the length of the short edge.
        A single number is a factor.
    """

    def __init__(self, scale: float | Sequence[int], keep_ratio: bool = True) -> None:
        if isinstance(scale, (int, float)):
            if scale <= 0:
                raise ValueError(f"Resize: scale={scale} is not a positive factor")
            if scale > 10:
                raise ValueError(
                    f"Resize: a single number is a factor, and scale={scale} is too large for one; "
                    f"a short edge of {scale} pixels is scale=[-1, {scale}]"
                )
            self.scale: float | tuple[int, int] = scale
        else:
            scale = tuple(scale)
            if len(scale) != 2 or max(scale) < 1 or min(scale) < -1 or 0 in scale:
                raise ValueError(
                    f"Resize: scale={list(scale)} is not [width, height]; one of the two may be -1"
                )
            if -1 in scale and not keep_ratio:
                raise ValueError(f"Resize: scale={list(scale)} with -1 needs keep_ratio=true")
            self.scale = scale[0], scale[1]
        self.keep_ratio = keep_ratio

    def __call__(self, frame: FrameGeometry, rng: np.random.Generator) -> None:
        frame.resize(*self.size(frame.width, frame.height))

    def size_after(self, size: KnownSize) -> KnownSize:
        if not isinstance(self.scale, (int, float)):
            if not self.keep_ratio:
                return self.scale
            if size is None or isinstance(size, int):
                return max(self.scale) if -1 in self.scale else None
        if isinstance(size, tuple):
            return self.size(*size)
        return None if size is None else self.size(size, size)[0]

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The new (width, height)."""
        if not self.keep_ratio and not isinstance(self.scale, (int, float)):
            return self.scale
        if isinstance(self.scale, (int, float)):
            factor = float(self.scale)
        else:
            short, long = sorted(math.inf if edge == -1 else edge for edge in self.scale)
            factor = min(long / max(width, height), short / min(width, height))
        return max(1, int(width * factor + 0.5)), max(1, int(height * factor + 0.5))


class RandomRescale(GeometricStep):
    """Scale the short edge to a random length in `scale_range`, both ends included."""

    def __init__(self, scale_range: Sequence[int]) -> None:
        low, high = scale_range
        if not 1 <= low <= high:
            raise ValueError(
                f"RandomRescale: scale_range={list(scale_range)} is not [low, high] in pixels"
            )
        self.scale_range = low, high

    def __call__(self, frame: FrameGeometry, rng: np.random.Generator) -> None:
        short = int(rng.integers(self.scale_range[0], self.scale_range[1] + 1))
        frame.resize(*Resize((-1, short)).size(frame.width, frame.height))

    def size_after(self, size: KnownSize) -> KnownSize:
        low, high = self.scale_range
        return Resize((-1, low)).size_after(size) if low == high else None


def _check_fits(step: str, width: int, height: int, frame: FrameGeometry) -> None:
    if width > frame.width or height > frame.height:
        raise ValueError(
            f"{step}: a crop of {width}x{height} does not fit into a frame of "
            f"{frame.width}x{frame.height}; put a Resize before it, or make the crop smaller"
        )


class RandomCrop(GeometricStep):
    """A crop of `size`, one number or (width, height), at a uniformly random position."""

    num_crops = 1

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = _pair(size, "RandomCrop: size")

    def __call__(self, frame: FrameGeometry, rng: np.random.Generator) -> None:
        width, height = self.size
        _check_fits("RandomCrop", width, height, frame)
        left = int(rng.integers(frame.width - width + 1))
        top = int(rng.integers(frame.height - height + 1))
        frame.crop(left, top, width, height)

    def size_after(self, size: KnownSize) -> KnownSize:
        return self.size


class RandomResizedCrop(GeometricStep):
    """A crop of random area and aspect ratio (Szegedy et al., CVPR 2015, section 6).

    area_range: fraction of the frame's area. aspect_ratio_range: width over height, log-uniform.
    Ten tries, then the central square.
    """

    num_crops = 1

    def __init__(
        self,
        area_range: Sequence[float] = (0.08, 1.0),
        aspect_ratio_range: Sequence[float] = (3 / 4, 4 / 3),
    ) -> None:
        for name, (low, high) in (
            ("area_range", area_range),
            ("aspect_ratio_range", aspect_ratio_range),
        ):
            if not 0 < low <= high:
                raise ValueError(
                    f"RandomResizedCrop: {name}=[{low}, {high}] is not 0 < low <= high"
                )
        self.area_range = area_range[0], area_range[1]
        self.aspect_ratio_range = aspect_ratio_range[0], aspect_ratio_range[1]

    def __call__(self, frame: FrameGeometry, rng: np.random.Generator) -> None:
        frame.crop(*self.box(frame.width, frame.height, rng))

    def box(self, width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """left, top, width, height of the crop."""
        low, high = (math.log(ratio) for ratio in self.aspect_ratio_range)
        for _ in range(10):
            area = rng.uniform(*self.area_range) * width * height
            ratio = math.exp(rng.uniform(low, high))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
                return left, top, w, h
        edge = min(width, height)
        return (width - edge) // 2, (height - edge) // 2, edge, edge


class MultiScaleCrop(GeometricStep):
    """Corner and scale jitter (Wang et al., ECCV 2016, section 3.2): a few sizes and positions.

    input_size: input of the network, one number or (width, height); a later step resizes to it.
    scales: fractions of the short edge; width and height differ by at most max_wh_scale_gap scales.
    random_crop: any position instead of the fixed ones.
    num_fixed_crops: 5 (corners and centre) or 13.
    """

    num_crops = 1

    def __init__(
        self,
        input_size: int | Sequence[int],
        scales: Sequence[float] = (1,),
        max_wh_scale_gap: int = 1,
        random_crop: bool = False,
        num_fixed_crops: int = 5,
    ) -> None:
        self.input_size = _pair(input_size, "MultiScaleCrop: input_size")
        if not scales or not all(0 < scale <= 1 for scale in scales):
            raise ValueError(f"MultiScaleCrop: scales={list(scales)} are not all in (0, 1]")
        if num_fixed_crops not in (5, 13):
            raise ValueError(
                f"MultiScaleCrop: num_fixed_crops={num_fixed_crops} is neither 5 nor 13"
            )
        if max_wh_scale_gap < 0:
            raise ValueError(f"MultiScaleCrop: max_wh_scale_gap={max_wh_scale_gap} is negative")
        self.scales = tuple(scales)
        self.max_wh_scale_gap = max_wh_scale_gap
        self.random_crop = random_crop
        self.num_fixed_crops = num_fixed_crops

    def __call__(self, frame: FrameGeometry, rng: np.random.Generator) -> None:
        sizes = self.sizes(frame.width, frame.height)
        width, height = sizes[rng.integers(len(sizes))]
        if self.random_crop:
            left = int(rng.integers(frame.width - width + 1))
            top = int(rng.integers(frame.height - height + 1))
        else:
            places = self.places(frame.width - width, frame.height - height)
            left, top = places[rng.integers(len(places))]
        frame.crop(left, top, width, height)

    def sizes(self, width: int, height: int) -> list[tuple[int, int]]:
        """The crop sizes for a frame, (width, height)."""
        edges = [max(1, int(min(width, height) * scale)) for scale in self.scales]
        # A crop within three pixels of the input size is not worth resampling for.
        widths, heights = (
            [size if abs(edge - size) < 3 and size <= limit else edge for edge in edges]
            for size, limit in zip(self.input_size, (width, height), strict=True)
        )
        return [
            (w, h)
            for i, h in enumerate(heights)
            for j, w in enumerate(widths)
            if abs(i - j) <= self.max_wh_scale_gap
        ]

    def places(self, free_x: int, free_y: int) -> list[tuple[int, int]]:
        """The fixed (left, top) of a crop that leaves `free_x` and `free_y` pixels."""
        x, y = free_x // 4, free_y // 4
        places = [(0, 0), (4 * x, 0), (0, 4 * y), (4 * x, 4 * y), (2 * x, 2 * y)]
        if self.num_fixed_crops == 13:
            places += [(0, 2 * y), (4 * x, 2 * y), (2 * x, 4 * y), (2 * x, 0)]
            places += [(x, y), (3 * x, y), (x, 3 * y), (3 * x, 3 * y)]
        return places


class CenterCrop(GeometricStep):
    """The central crop of `crop_size`, one number or (width, height)."""

    num_crops = 1

    def __init__(self, crop_size: int | Sequence[int]) -> None:
        self.crop_size = _pair(crop_size, "CenterCrop: crop_size")

    def __call__(self, frame: FrameGeometry, rng: np.random.Generator) -> None:
        width, height = self.crop_size
        _check_fits("CenterCrop", width, height, frame)
        frame.crop((frame.width - width) // 2, (frame.height - height) // 2, width, height)

    def size_after(self, size: KnownSize) -> KnownSize:
        return self.crop_size


class ThreeCrop(GeometricStep):
    """Three views along the long edge of the frame: its two ends, then the centre.

    crop_size: one number or (width, height), as long as the short edge of the frame.
    """

    num_crops = 3

    def __init__(self, crop_size: int | Sequence[int]) -> None:
        self.crop_size = _pair(crop_size, "ThreeCrop: crop_size")

    def __call__(self, frame: FrameGeometry, rng: np.random.Generator) -> None:
        width, height = self.crop_size
        _check_fits("ThreeCrop", width, height, frame)
        if height == frame.height:
            step = (frame.width - width) // 2
            places = [(0, 0), (2 * step, 0), (step, 0)]
        elif width == frame.width:
            step = (frame.height - height) // 2
            places = [(0, 0), (0, 2 * step), (0, step)]
        else:
            raise ValueError(
                f"ThreeCrop: crop_size={width}x{height} is neither as high nor as wide as the "
                f"frame, {frame.width}x{frame.height}; resize its short edge to the crop's first"
            )
        frame.crops = [(left, top, width, height, 0) for left, top in places]

    def size_after(self, size: KnownSize) -> KnownSize:
        return self.crop_size


class TenCrop(GeometricStep):
    """Ten views: the four corners and the centre, each followed by its mirror image."""

    num_crops = 10

    def __init__(self, crop_size: int | Sequence[int]) -> None:
        self.crop_size = _pair(crop_size, "TenCrop: crop_size")

    def __call__(self, frame: FrameGeometry, rng: np.random.Generator) -> None:
        width, height = self.crop_size
        _check_fits("TenCrop", width, height, frame)
        x, y = (frame.width - width) // 4, (frame.height - height) // 4
        places = [(0, 0), (4 * x, 0), (0, 4 * y), (4 * x, 4 * y), (2 * x, 2 * y)]
        frame.crops = [
            (left, top, width, height, mirrored) for left, top in places for mirrored in (0, 1)
        ]

    def size_after(self, size: KnownSize) -> KnownSize:
        return self.crop_size


class Flip(GeometricStep):
    """Mirror with probability flip_ratio.

    flip_label_map: class -> class of a video that is mirrored left to right.
    """

    def __init__(
        self,
        flip_ratio: float = 0.5,
        direction: str = "horizontal",
        flip_label_map: Mapping[int, int] | None = None,
    ) -> None:
        if not 0 <= flip_ratio <= 1:
            raise ValueError(f"Flip: flip_ratio={flip_ratio} is outside [0, 1]")
        if direction not in ("horizontal", "vertical"):
            raise ValueError(f"Flip: direction='{direction}' is neither horizontal nor vertical")
        self.flip_ratio = flip_ratio
        self.direction = direction
        self.flip_label_map = {int(a): int(b) for a, b in (flip_label_map or {}).items()}

    def __call__(self, frame: FrameGeometry, rng: np.random.Generator) -> None:
        if rng.random() >= self.flip_ratio:
            return
        if self.direction == "vertical":
            frame.flip_vertical = not frame.flip_vertical
            frame.crops = [
                (left, frame.height - top - height, width, height, mirrored)
                for left, top, width, height, mirrored in frame.crops
            ]
        elif frame.crops:
            frame.crops = [(*crop[:4], 1 - crop[4]) for crop in frame.crops]
        else:
            frame.flip = not frame.flip

    def size_after(self, size: KnownSize) -> KnownSize:
        return size
