"""Memory and speed of labels for every second of long videos.

    python benchmarks/long_videos.py [--minutes 1 10 60] [--every 1]

Videos of these lengths (160x120, 25 frames a second, H.264) are classified by a small I3D, each in
a process of its own that reports its peak memory, the frames it decoded and the frames that it held
for clips. The rate, in frames per second of processor time, is compared with a loop of plain PyAV
over the same file, in the same process.
The exit status is 1 if a frame was not decoded exactly once, or if the longest video takes 32 MiB
more than the shortest.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import torch

import vidrec
from vidrec.data.video import stream
from vidrec.inference.network import Network
from vidrec.inference.options import Options
from vidrec.inference.recognition import RecognitionPredictor
from vidrec.inference.windows import Windows

RATE, WIDTH, HEIGHT = 25, 160, 120
BAR_MIB = 32.0
# So small that reading the video is what takes the time.
NETWORK = [
    "model=i3d_tiny",
    "model.net.backbone.num_stages=1",
    "model.net.backbone.base_channels=8",
    "model.net.backbone.inflate=[1]",
    "model.net.cls_head.in_channels=8",
]


def write_minute(path: Path) -> None:
    """A minute of a texture that moves, with a keyframe every two seconds."""
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(0, 256, (15, 40, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", RATE, options={"g": "50", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(60 * RATE):
            picture = np.ascontiguousarray(np.roll(texture, -2 * number, axis=1)[:, :WIDTH])
            file.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        file.mux(video.encode())


def repeat(minute: Path, path: Path, times: int) -> None:
    """The packets of `minute`, `times` times in a row."""
    with av.open(str(minute)) as source, av.open(str(path), "w") as target:
        video = source.streams.video[0]
        copy = target.add_stream_from_template(video)
        assert video.time_base is not None
        length = round(60 / video.time_base)
        for number in range(times):
            source.seek(0)
            for packet in source.demux(video):
                if packet.pts is None or packet.dts is None:
                    continue
                packet.pts += number * length
                packet.dts += number * length
                packet.stream = copy
                target.mux(packet)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(path: str, every: float) -> dict[str, float]:
    """Classify every part of a video; what it took."""
    torch.set_num_threads(1)
    conf = vidrec.compose("data=shapes", "data.prepare=null", *NETWORK)
    net = vidrec.build_model(conf).eval()
    network = Network(net, vidrec.api.describe_model(conf), "random")
    predictor = RecognitionPredictor(network, Options(every=every))
    decode, windows, made = stream.decode_in_order, predictor.windows, list[Windows]()
    num_decoded = 0

    def counting(*arguments):  # type: ignore[no-untyped-def]
        nonlocal num_decoded
        for item in decode(*arguments):
            num_decoded += 1
            yield item

    stream.decode_in_order = counting
    predictor.windows = lambda source: made.append(windows(source)) or made[-1]  # type: ignore
    start = time.process_time()
    found = predictor(path)
    seconds, peak = time.process_time() - start, peak_mib()
    start = time.process_time()
    with av.open(path) as container:
        container.streams.video[0].codec_context.thread_count = 1
        num_frames = sum(1 for _ in container.decode(video=0))
    plain = time.process_time() - start
    return {
        "peak_mib": peak,
        "decoded": num_decoded,
        "frames": num_frames,
        "held": made[0].most_held,
        "parts": len(found.timeline),
        "frames_per_second": num_frames / seconds,
        "plain_frames_per_second": num_frames / plain,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 10, 60])
    parser.add_argument("--every", type=float, default=1.0)
    parser.add_argument("--file", help=argparse.SUPPRESS)  # of a child process
    options = parser.parse_args()
    if options.file:
        print(json.dumps(measure(options.file, options.every)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        minute = Path(folder, "minute.mp4")
        write_minute(minute)
        for minutes in sorted(options.minutes):
            path = Path(folder, f"{minutes}.mp4")
            repeat(minute, path, minutes)
            command = [sys.executable, __file__, "--file", path, "--every", str(options.every)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            row = rows[-1]
            print(
                f"{minutes:3d} min: peak {row['peak_mib']:.0f} MiB, "
                f"{row['decoded']:,} frames decoded of {row['frames']:,}, "
                f"at most {row['held']} held, {row['parts']:,} parts, "
                f"{row['frames_per_second']:,.0f} frames/s, "
                f"plain decoding {row['plain_frames_per_second']:,.0f}",
                flush=True,
            )
    growth = rows[-1]["peak_mib"] - rows[0]["peak_mib"]
    print(f"growth: {growth:.1f} MiB (bar {BAR_MIB:.0f})")
    sys.exit(growth > BAR_MIB or any(row["decoded"] != row["frames"] for row in rows))


if __name__ == "__main__":
    main()
