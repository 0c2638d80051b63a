"""A prediction drawn into its video: labels with scores, boxes with actions, or segments."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.resample import Cutter
from vidrec.data.video.sound import SoundCopy
from vidrec.data.video.stream import FrameStream
from vidrec.data.video.writer import VideoWriter
from vidrec.files.atomic_write import atomic_write
from vidrec.inference.drawing import Size, drawing_of
from vidrec.inference.result import Result

LEAST_SIDE = 360  # pixels to which the shorter side of smaller videos is enlarged
MOST_WIDTH, MOST_HEIGHT = 1920, 1080
UNKNOWN_RATE = 25  # frames per second; the frames have times of their own


def write_annotated(prediction: Result, path: Path) -> None:
    """Write the video with what was predicted as an mp4, with its times and its sound.

    The video is streamed: memory does not grow with its length. Frames are scaled so that text is
    readable: to at least 360 pixels on the shorter side, and at most 1920 x 1080. Damaged frames
    are left out, and so is sound that an mp4 cannot hold as it is, such as PCM.

    Raises VideoError if the video cannot be read, OSError if `path` cannot be written.
    """
    with FrameStream(prediction.video) as frames, atomic_write(path) as file:
        size = shown_size((frames.width, frames.height))
        draw = drawing_of(prediction, size, frames.duration or prediction.duration or 0.0)
        plan = CropPlan((0, 0, frames.width, frames.height), (size[1], size[0]))
        cutter = Cutter(plan, frames.width, frames.height, accurate=False)
        pixels = np.empty((size[1], size[0], 3), np.uint8)
        rate = Fraction(frames.fps or UNKNOWN_RATE).limit_denominator(1001)
        with (
            VideoWriter(file, size, rate) as writer,
            SoundCopy(Path(prediction.video), writer.container) as sound,
        ):
            for _, seconds, _, frame in frames:
                sound.until(seconds)
                cutter(frame, pixels)
                picture = Image.fromarray(pixels)
                draw(picture, seconds)
                writer.write(np.asarray(picture), seconds)
            sound.until(math.inf)


def shown_size(size: Size) -> Size:
    """Width and height at which a video is shown, both even.

    >>> shown_size((1920, 1080)), shown_size((341, 256)), shown_size((2160, 3840))
    ((1920, 1080), (480, 360), (608, 1080))
    """
    scale = max(LEAST_SIDE / min(size), 1.0)
    scale = min(scale, MOST_WIDTH / size[0], MOST_HEIGHT / size[1])
    width, height = (max(2 * round(side * scale / 2), 2) for side in size)
    return width, height
