"""Actions of whole videos, by the views of an evaluation, and of every part of them."""

import os
from collections.abc import Callable
from typing import cast

import av
import numpy as np
import torch
from torch import Tensor

from vidrec import build
from vidrec.data.clips.batch import ClipBatch, ViewBatch
from vidrec.data.clips.dataset import VideoDataset
from vidrec.data.clips.records import Records
from vidrec.data.collate import to_device
from vidrec.data.transforms.pipeline import Pipeline
from vidrec.data.video.clip_buffer import cut_with
from vidrec.data.video.decoder import VideoError
from vidrec.data.video.image_folder import FrameReader
from vidrec.data.video.pyav import VideoReader
from vidrec.data.video.stream import FrameStream
from vidrec.inference.class_names import class_names
from vidrec.inference.frames import clip_shape
from vidrec.inference.network import Network
from vidrec.inference.options import Options
from vidrec.inference.prediction import Moment, Prediction, best_classes
from vidrec.inference.windows import ClipTimes, Part, Windows, clip_times
from vidrec.tasks import recognition
from vidrec.tasks.wording import frames_of

_rng = np.random.default_rng  # unused in tests, except by samplers that jitter there


def mean_of_views(scores: Tensor) -> np.ndarray:
    """Scores (N, K), or (N, V, K) of views that the network does not average -> (N, K) float32."""
    scores = scores.float()
    return (scores.mean(dim=1) if scores.ndim == 3 else scores).cpu().numpy()


class RecognitionPredictor:
    """Scores of a video from the same views as in an evaluation, so that they are the same.

    They are equal bit for bit if the evaluation runs one video at a time
    (schedule.test_batch_size=1) on the same device in fp32; in larger batches libraries may add up
    in another order. With `options.every` the video is read once from front to back instead, and
    every part has scores of its own: see `vidrec.inference.windows`; each of its clips is one
    central crop. The scores of the whole video are then the mean of the parts, weighted by their
    lengths.

    A network of frame folders reads video files, and folders of frames where it is given them.
    Where a network does not average its views (average_clips=none), the mean of their logits is
    the score.
    """

    def __init__(self, network: Network, options: Options) -> None:
        self.network = network
        self.options = options
        self.names = class_names(network.description, options.names)
        self.reading = build.build_reading(network.description)
        self.transforms = Pipeline(self.reading["steps"])
        reader = self.reading["reader"]
        self.folder_reader = reader if isinstance(reader, FrameReader) else None
        if self.reading.get("stack", 1) != 1 or getattr(reader, "is_flow", False):
            raise ValueError(
                f"{network.source} is a network of optical flow, which video files do not hold: "
                "extract the flow and score it with vidrec evaluate"
            )
        if self.folder_reader:
            self.reading["reader"] = VideoReader(accurate=True)

    @torch.inference_mode()
    def __call__(self, video: str) -> Prediction:
        """The result for a file. Raises VideoError if it cannot be read."""
        return self._views(video) if self.options.every is None else self._parts(video)

    def views(self, video: str) -> tuple[VideoDataset, ClipBatch | ViewBatch]:
        """A dataset of the video alone and its batch: the views of an evaluation, on the CPU.

        Raises VideoError if it cannot be read.
        """
        reading = self.reading
        if self.folder_reader and os.path.isdir(video):
            reading = {**reading, "reader": self.folder_reader}
        dataset = VideoDataset(Records.pack([video], [0]), **reading)
        batch = dataset.collate([dataset.load(0, _rng((dataset.seed, 0, 0)))])
        return dataset, cast(ClipBatch | ViewBatch, batch)  # of a video that was read

    def _views(self, video: str) -> Prediction:
        dataset, batch = self.views(video)
        scores = self.network.net.predict(to_device(batch, self.network.device))["scores"]
        row = mean_of_views(scores)[0]
        with dataset.reader.open(dataset.path(0)) as source:  # its frames are listed already
            duration = source.num_frames / source.fps if source.fps else None
        protocol = recognition.views_of(dataset, self.network.net)
        return self._prediction(video, protocol, row, duration, [])

    def _parts(self, video: str) -> Prediction:
        if os.path.isdir(video):
            raise VideoError(f"{video}: a folder of frames has no times: every= needs a video file")
        timeline: list[Moment] = []
        total = np.zeros(len(self.names))
        with FrameStream(video) as stream:
            windows = self.windows(stream)

            def add(parts: list[Part]) -> None:
                for part in parts:
                    total[:] += part.scores * (part.end - part.start)
                    timeline.append(self.moment(part))

            for shown in stream:
                add(windows.push(shown.time, shown.frame))
            add(windows.finish())
            duration, num_damaged = stream.duration, stream.num_damaged
        length = sum(moment.end - moment.start for moment in timeline)
        protocol = self.protocol(windows)
        if num_damaged:
            protocol += f", {num_damaged:,} damaged frames replaced by the ones before"
        return self._prediction(
            video, protocol, (total / length).astype(np.float32), duration, timeline
        )

    def windows(self, stream: FrameStream) -> Windows:
        """What scores the parts of a stream, from frames that are pushed: for cameras too."""
        assert self.options.every is not None
        return Windows(
            self.clip_times(stream),
            self.options.every,
            self.cutter(stream),
            self.score,
            stream.duration,
            self.options.batch_size,
        )

    def clip_times(self, stream: FrameStream) -> ClipTimes:
        """When the clips of a part of a stream are."""
        assert self.options.every is not None
        num_frames = clip_shape(self.network.description).num_frames
        return clip_times(self.reading["sampling"], num_frames, stream.fps, self.options.every)

    def cutter(self, stream: FrameStream) -> Callable[[av.VideoFrame], np.ndarray]:
        """What cuts the central crop out of the frames of a stream."""
        plan = self.transforms.plan(stream.width, stream.height, _rng(0))
        return cut_with(stream, plan.central_view())

    def moment(self, part: Part) -> Moment:
        """A part with its best classes."""
        return Moment(
            part.start, part.end, best_classes(part.scores, self.names, self.options.topk)
        )

    def protocol(self, windows: Windows) -> str:
        """E.g. `parts of 1 s, 1 clip x 1 crop each, 8x8 frames, 224 px, prob averaged`."""
        sampling, clips = self.reading["sampling"], windows.clips_per_part
        num_frames = clip_shape(self.network.description).num_frames
        is_clip = sampling.clip_len == num_frames
        parts = [
            f"parts of {self.options.every:g} s",
            f"{clips} clip{'s' * (clips != 1)} x 1 crop each",
            frames_of(num_frames, sampling.frame_interval if is_clip else None),
            *recognition.what_is_seen(self.transforms, self.network.net),
        ]
        return ", ".join(parts)

    @torch.inference_mode()
    def score(self, clips: np.ndarray) -> np.ndarray:
        """Clips (B, T, h, w, C) uint8 as they were cut -> scores (B, K) float32."""
        unknown = torch.zeros(len(clips), dtype=torch.int64)
        batch: ClipBatch = {
            "video": torch.from_numpy(self.finish(clips))[:, None],
            "label": unknown,
            "index": unknown,
        }
        scores = self.network.net.predict(to_device(batch, self.network.device))["scores"]
        return mean_of_views(scores)

    def finish(self, clips: np.ndarray) -> np.ndarray:
        """Clips (B, T, h, w, C) with the steps of a test that change pixels."""
        return np.stack([self.transforms.finish(clip, _rng(0)) for clip in clips])

    def _prediction(
        self,
        video: str,
        protocol: str,
        scores: np.ndarray,
        duration: float | None,
        timeline: list[Moment],
    ) -> Prediction:
        return Prediction(
            video=video,
            model=self.network.source,
            task="recognition",
            protocol=protocol,
            duration=duration,
            topk=best_classes(scores, self.names, self.options.topk),
            timeline=timeline,
            scores=scores,
        )
