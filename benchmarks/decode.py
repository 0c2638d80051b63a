"""Training clips per CPU second from video files: vidrec's reader against decord and OpenCV.

The baseline is the usual pipeline: decord decodes the frames, OpenCV resizes the short side to 256,
cuts a random box, resizes it to 224 and flips every other clip. Both read the same frames of the
same files in one process, one after the other; medians of user + system time are compared. vidrec
opens every file anew and caches nothing.

    pip install decord opencv-python-headless
    python benchmarks/decode.py [VIDEO ...] [--clips 15]

VIDEOs are files as downloaded, with long groups of pictures (such as Kinetics at 340x256); without
any, one is synthesised. The variants with a keyframe every 12 and 16 frames are encoded from them.
The last line is one JSON object.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.pyav import VideoReader

try:
    import cv2
    import decord
except ImportError as error:
    sys.exit(f"{error}: pip install decord opencv-python-headless")

PATTERNS = {"3x1": (3, 1, 1), "8x8": (1, 8, 8), "32x2": (1, 32, 2)}  # clips, frames, interval
ENCODINGS = {
    "gop12": {"g": "12"},
    "gop16 fastdecode": {
        **{"g": "16", "keyint_min": "16", "sc_threshold": "0"},
        **{"bf": "3", "b_strategy": "0", "tune": "fastdecode"},
    },
}


def synthesise(path: Path, num_frames: int = 300, width: int = 340, height: int = 256) -> None:
    """An H.264 file: layers of natural-looking texture that drift over each other, with grain."""
    rng = np.random.default_rng(0)
    side = 512
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    frequency[0, 0] = 1
    layers = []
    for _ in range(4):
        spectrum = np.fft.fft2(rng.standard_normal((side, side, 3)), axes=(0, 1))
        texture = np.fft.ifft2(spectrum / frequency[..., None] ** 1.5, axes=(0, 1)).real
        layers.append(texture / texture.std())
    masks = [layer[..., :1] > 0.3 for layer in layers]
    speeds = rng.uniform(-3, 3, (len(layers), 2))
    grain = rng.normal(0, 1.5, (8, height, width, 3))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 30, options={"g": "250", "crf": "25"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(num_frames):
            image = np.zeros((height, width, 3))
            for layer, mask, speed in zip(layers, masks, speeds, strict=True):
                wobble = 6 * math.sin(number / 11 + speed[0])
                shift = np.round(speed * number + wobble).astype(int)
                rows = (np.arange(height) + shift[0])[:, None] % side
                columns = (np.arange(width) + shift[1])[None] % side
                image = np.where(mask[rows, columns], layer[rows, columns], image)
            image = np.clip(118 + 45 * image + grain[number % 8], 0, 255).astype(np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")):
                container.mux(packet)
        container.mux(stream.encode())


def encode(source: Path, target: Path, options: dict[str, str]) -> None:
    """Re-encode `source` with its short side at 256 and the H.264 `options`."""
    with av.open(str(source)) as video, av.open(str(target), "w") as container:
        first = video.streams.video[0]
        scale = 256 / min(first.width, first.height)
        stream = container.add_stream("libx264", first.average_rate, options=options)
        stream.width, stream.height = (
            2 * round(s * scale / 2) for s in (first.width, first.height)
        )
        stream.pix_fmt = "yuv420p"
        for number, frame in enumerate(video.decode(first)):
            frame = frame.reformat(stream.width, stream.height, "yuv420p", interpolation="BICUBIC")
            frame.pts, frame.time_base, frame.pict_type = number, 1 / first.average_rate, 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def sample(num_frames: int, pattern: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Frame numbers of one clip in each of `clips` equal segments."""
    clips, frames, interval = pattern
    starts = num_frames / clips * (np.arange(clips) + rng.random(clips)) - rng.random() * interval
    starts = np.clip(starts, 0, max(num_frames - 1 - (frames - 1) * interval, 0)).astype(int)
    return (starts[:, None] + np.arange(frames) * interval).reshape(-1) % num_frames


def random_box(width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """The box of a random-resized crop: area 0.08 to 1, aspect 3/4 to 4/3."""
    while True:
        area, ratio = rng.uniform(0.08, 1) * width * height, math.exp(rng.uniform(-1, 1) * 0.2877)
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if w <= width and h <= height:
            return int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1)), w, h


def their_frames(path: str, indices: np.ndarray) -> list[np.ndarray]:
    reader = decord.VideoReader(path, num_threads=1)
    frames = reader.get_batch(indices).asnumpy()
    height, width = frames.shape[1:3]
    scale = 256 / min(height, width)
    size = round(width * scale), round(height * scale)
    return [cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR) for frame in frames]


def their_clip(path: str, indices: np.ndarray, box: tuple[float, ...], flip: bool) -> np.ndarray:
    clip = []
    for frame in their_frames(path, indices):
        scale = frame.shape[1]
        left, top, width, height = (round(value * scale) for value in box)
        frame = frame[top : top + height, left : left + width]
        frame = cv2.resize(frame, (224, 224), interpolation=cv2.INTER_LINEAR)
        clip.append(cv2.flip(frame, 1) if flip else frame)
    return np.stack(clip)


def our_clips(path: str, indices: np.ndarray, boxes: list, flip: bool) -> list[np.ndarray]:
    with VideoReader(table_frames=0).open(path) as source:
        plans = []
        for box in boxes:
            left, top, width, height = (value * source.width for value in box)
            plans.append(CropPlan(box=(left, top, width, height), size=(224, 224), flip=flip))
        return source.read_many(indices, plans)


def their_views(path: str, indices: np.ndarray) -> list[np.ndarray]:
    frames = their_frames(path, indices)
    height, width = frames[0].shape[:2]
    offsets = [(round(i * (width - 256) / 2), round(i * (height - 256) / 2)) for i in range(3)]
    return [np.stack([f[y : y + 256, x : x + 256] for f in frames]) for x, y in offsets]


def our_views(path: str, indices: np.ndarray) -> np.ndarray:
    """Every distinct frame once, scaled; the device cuts the crops."""
    with VideoReader(table_frames=0).open(path) as source:
        scale = 256 / min(source.width, source.height)
        size = round(source.height * scale), round(source.width * scale)
        plan = CropPlan(box=(0, 0, source.width, source.height), size=size)
        return source.read(np.unique(indices), plan)


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--clips", type=int, default=15, help="clips per file and pattern")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    figures: dict[str, dict[str, float]] = {}
    print("CPU ms per clip    pattern      decord + OpenCV   vidrec   ratio   two crops per decode")
    with tempfile.TemporaryDirectory() as folder:
        videos = args.videos
        if not videos:
            videos = [Path(folder, "synthetic.mp4")]
            synthesise(videos[0])
        files = {"as given": videos}
        for name, options in ENCODINGS.items():
            files[name] = [Path(folder, f"{name} {i}.mp4") for i in range(len(videos))]
            for source, target in zip(videos, files[name], strict=True):
                encode(source, target, options)
        for name, paths in files.items():
            for pattern in PATTERNS:
                figures[f"{name} {pattern}"] = compare_clips(name, pattern, paths, args.clips)
        figures["test 10x3"] = compare_views(videos, max(args.clips // 3, 3))
    print(json.dumps(figures))


def compare_clips(name: str, pattern: str, paths: list[Path], num_clips: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    times = []
    for number in range(num_clips * len(paths)):
        path = str(paths[number % len(paths)])
        with VideoReader().open(path) as source:
            num_frames, width, height = source.num_frames, source.width, source.height
        indices = sample(num_frames, PATTERNS[pattern], rng)
        # In units of the width, as the two sides scale the frame differently.
        boxes = [tuple(v / width for v in random_box(width, height, rng)) for _ in range(2)]
        flip = bool(number % 2)
        works = [
            lambda p=path, i=indices, b=boxes, f=flip: their_clip(p, i, b[0], f),
            lambda p=path, i=indices, b=boxes, f=flip: our_clips(p, i, b[:1], f),
            lambda p=path, i=indices, b=boxes, f=flip: our_clips(p, i, b, f),
        ]
        times.append([cpu_seconds(work) for work in works])
    theirs, ours, two = np.median(times[1:], axis=0) * 1000
    result = {"theirs_ms": theirs, "ours_ms": ours, "ratio": theirs / ours}
    result["two_crops_ratio"] = 2 * theirs / two
    print(
        f"{name:18} {pattern:12} {theirs:15.1f} {ours:8.1f} {result['ratio']:7.2f}"
        f" {result['two_crops_ratio']:12.2f}",
        flush=True,
    )
    return {key: round(float(value), 3) for key, value in result.items()}


def compare_views(paths: list[Path], repeats: int) -> dict[str, float]:
    times = []
    for number in range(repeats * len(paths)):
        path = str(paths[number % len(paths)])
        with VideoReader().open(path) as source:
            starts = np.linspace(0, max(source.num_frames - 64, 0), 10).astype(int)
            indices = (starts[:, None] + 2 * np.arange(32)).reshape(-1) % source.num_frames
        works = [
            lambda p=path, i=indices: their_views(p, i),
            lambda p=path, i=indices: our_views(p, i),
        ]
        times.append([cpu_seconds(work) for work in works])
    theirs, ours = np.median(times, axis=0) * 1000
    print(f"{'as given':18} {'test 10x3':12} {theirs:15.1f} {ours:8.1f} {theirs / ours:7.2f}")
    result = {"theirs_ms": theirs, "ours_ms": ours, "ratio": theirs / ours}
    return {key: round(float(value), 3) for key, value in result.items()}


if __name__ == "__main__":
    main()
