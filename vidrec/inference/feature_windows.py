"""Features of windows that slide over a video, by a recognition network."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from vidrec.config.schema import ClipConf, Precision
from vidrec.data.clips.batch import ViewBatch
from vidrec.data.clips.collate import ViewSample, collate_clips
from vidrec.data.collate import to_device
from vidrec.data.transforms.pipeline import Pipeline, Step
from vidrec.data.video.pyav import VideoError, VideoReader
from vidrec.engine.evaluate import autocast
from vidrec.models.features import ClassifierInput, classifier_of, in_half_precision
from vidrec.models.recognizer import Recognizer
from vidrec.weights.digest import digest_of
from vidrec.weights.load import load_all
from vidrec.weights.report import Report


@dataclass(frozen=True)
class Windows:
    """Windows of `window` frames around the centres of stretches of `stride` frames.

    num_frames: sampled evenly from each window. chunk: windows per forward pass.
    """

    window: int
    stride: int
    num_frames: int
    chunk: int

    def __call__(self, length: int) -> np.ndarray:
        """Frame indices (T, num_frames) for a video of `length` frames; T = length / stride.

        Windows that reach past an end repeat the first or the last frame.
        """
        centres = (np.arange(max(1, length // self.stride)) + 0.5) * self.stride
        within = (np.arange(self.num_frames) + 0.5) * self.window / self.num_frames
        indices = np.floor(centres[:, None] - self.window / 2 + within).astype(np.int64)
        return indices.clip(0, length - 1)


class Chunk(TypedDict, total=False):
    """A few windows of one video, or `number` and `error` of an unreadable file."""

    number: int  # of the video
    error: str
    batch: ViewBatch  # one sample
    crops: int  # of each window
    num_frames: int  # of the video
    fps: float  # 0 if unknown
    total: int  # windows of the video


class Chunks(IterableDataset):
    """The windows of videos, a few at a time; each video is read by one worker."""

    def __init__(self, paths: Sequence[Path], windows: Windows, steps: dict[str, Step]) -> None:
        self.paths = paths
        self.windows = windows
        self.transforms = Pipeline(steps)
        self.reader = VideoReader(accurate=True)

    def __iter__(self) -> Iterator[Chunk]:
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        for number in range(first, len(self.paths), step):
            try:
                yield from self._chunks(number)
            except VideoError as error:
                path = self.paths[number]
                yield {"number": number, "error": str(error).removeprefix(f"{path}: ")}

    def _chunks(self, number: int) -> Iterator[Chunk]:
        rng = np.random.default_rng(0)  # unused: nothing is random in evaluation
        with self.reader.open(str(self.paths[number])) as source:
            views = self.windows(source.num_frames)
            plan = self.transforms.plan(source.width, source.height, rng)
            crops = np.array(plan.crops or [(0, 0, plan.size[1], plan.size[0], 0)], dtype=np.int64)
            for start in range(0, len(views), self.windows.chunk):
                part = views[start : start + self.windows.chunk]
                distinct, row = np.unique(part, return_inverse=True)
                video = self.transforms.finish(source.read(distinct.tolist(), plan), rng)
                sample: ViewSample = {
                    "video": video,
                    "frames": np.repeat(row.reshape(part.shape), len(crops), axis=0),
                    "crop": np.tile(crops, (len(part), 1)),
                    "label": np.zeros(1, np.int64),
                    "index": np.array([number]),
                }
                yield {
                    "number": number,
                    "batch": cast(ViewBatch, collate_clips([sample])),
                    "crops": len(crops),
                    "num_frames": source.num_frames,
                    "fps": source.fps or 0.0,
                    "total": len(views),
                }


def choose_windows(
    clip: ClipConf, window: int | None = None, stride: int | None = None, chunk: int = 8
) -> Windows:
    """The default window is as long as a training clip, or 64 frames for models over segments."""
    num_frames = clip.frames_per_view or clip.frames * clip.clips
    window = window or (num_frames * clip.interval if clip.frames_per_view else 64)
    return Windows(window, stride or max(1, window // 2), num_frames, chunk)


class WindowFeatures:
    """The input of a network's classifier for each window, the mean of its crops.

    net: in evaluation mode, with the weights of `checkpoint`, of which the classifier may be
    missing. weights: their hash. loaded: what was loaded. Raises ValueError if other weights are
    missing.
    """

    def __init__(
        self,
        net: Recognizer,
        checkpoint: str,
        precision: Precision,
        allow_non_finite: bool = False,
    ) -> None:
        self.net = net.eval()
        self.precision = precision
        self.loaded: Report = load_all(
            net,
            checkpoint,
            but=("cls_head.", f"{classifier_of(net)}."),
            allow_non_finite=allow_non_finite,
        )
        self.weights = digest_of(net, self.loaded.loaded)
        self._taken = ClassifierInput(net, untrained=self.loaded.missing)

    def __call__(self, chunk: Chunk, video: str) -> np.ndarray:
        """(windows, C) float16 of a readable chunk; video: its name, for messages."""
        rows = features_of(self.net, self._taken, chunk, self.precision)
        return in_half_precision(rows, video)


@torch.no_grad()
def features_of(
    net: Recognizer, taken: ClassifierInput, chunk: Chunk, precision: Precision
) -> Tensor:
    """(windows, C) float32 of a readable chunk; taken: the inputs of the network's classifier."""
    device = next(net.parameters()).device
    batch = to_device(chunk["batch"], device)
    with autocast(device, precision):
        net.predict(batch)
    views = taken.take(batch["frames"].shape[1])
    return views.unflatten(0, (-1, int(chunk["crops"]))).mean(dim=1)


def measures(num_features: int, num_frames: int, fps: float, stride: int) -> dict[str, float]:
    """How long a video is and what its features cover, as ActivityNet's annotations say it."""
    return {
        "duration_frame": num_frames,
        "duration_second": num_frames / fps if fps else float(num_frames),
        "feature_frame": num_features * stride,
    }
