"""Writing frames as a video file that common players support."""

from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

# Both libraries would else choose other algorithms, with other results, by the CPU.
_ON_ANY_CPU = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_OPTIONS: dict[str, object] = {
    "crf": "18",
    "preset": "veryfast",
    "x264-params": "cpu-independent=1",
}


def write_video(path: Path, frames: np.ndarray, frame_rate: int) -> None:
    """Encode (F, H, W, 3) uint8 as H.264 in mp4: equal frames give equal files on any machine."""
    convert = VideoReformatter()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=frame_rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # or the number of cores would decide
        stream.options = _OPTIONS
        for picture in frames:
            frame = convert.reformat(
                av.VideoFrame.from_ndarray(picture, format="rgb24"),
                format="yuv420p",
                interpolation=_ON_ANY_CPU,
                threads=1,
            )
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
