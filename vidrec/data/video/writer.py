"""Writing frames as a video file that common players support."""

from pathlib import Path

import av
import numpy as np


def write_video(path: Path, frames: np.ndarray, frame_rate: int) -> None:
    """Encode (F, H, W, 3) uint8 as H.264 in mp4."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=frame_rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # the same bytes on every machine
        stream.options = {"crf": "18", "preset": "veryfast"}
        for picture in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
