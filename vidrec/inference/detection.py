"""Actions of the persons in the key frames of a video."""

import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import cast

import numpy as np
import torch

from vidrec import build
from vidrec.data.boxes.batch import BoxBatch
from vidrec.data.boxes.collate import BoxSample, collate_boxes
from vidrec.data.boxes.custom import read_classes
from vidrec.data.boxes.dataset import box_sample
from vidrec.data.boxes.key_frames import FrameFolders, KeyFrameSampling, Movies, NumberedFrames
from vidrec.data.collate import to_device
from vidrec.data.transforms.pipeline import Pipeline
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.stream import FrameStream
from vidrec.engine.setup import channels_last
from vidrec.inference.key_frame_clips import KeyFrameClip, key_frame_clips
from vidrec.inference.network import Network
from vidrec.inference.options import Options
from vidrec.inference.persons import persons_of
from vidrec.inference.prediction import Prediction
from vidrec.inference.result import KeyFrame, Person, ScoredClass, best_classes
from vidrec.models.heads.fbo import FBOHead
from vidrec.tasks.wording import frames_of

log = logging.getLogger(__name__)

MIN_SCORE = 0.05  # of an action that is named
_rng = np.random.default_rng  # unused: nothing is random in evaluation


class DetectionPredictor:
    """The same scores as in an evaluation, for the same key frames and boxes.

    A video is read once from front to back, whatever its length. Actions are named whose scores are
    at least `options.min_score` (by default 0.05), the best `options.topk` of each person. Their
    labels are columns of the network's outputs; with a background, which is none of them, the
    column of an action is its id in the annotation files (unless `custom_classes` chose some).

    Raises ValueError if the network needs a bank of features, or without boxes or a detector.
    """

    def __init__(self, network: Network, options: Options) -> None:
        if any(isinstance(module, FBOHead) for module in network.net.modules()):
            raise ValueError(
                f"{network.source} needs a bank of long-term features, which a single video does "
                "not have: write one with `vidrec bank` and run python evaluate.py with dump=FILE, "
                "or predict with a model without a bank, such as slowonly_ava"
            )
        channels_last(network.net)
        self.network = network
        self.options = options
        self.background: bool = network.net.roi_head.bbox_head.background_class
        self.names = _names(network, options.names, self.background)
        reading = build.build_reading(network.description)
        self.sampling: KeyFrameSampling = reading["sampling"]
        self.transforms = Pipeline(reading["steps"])
        self.persons = persons_of(options, _begin_of(reading["reader"]), network.device)

    @torch.inference_mode()
    def __call__(self, video: str) -> Prediction:
        moments = self.persons.moments(video)
        with FrameStream(video) as stream:
            plan = self.transforms.plan(stream.width, stream.height, _rng(0))
            clips = key_frame_clips(
                stream, plan, self.sampling, moments, whole=self.persons.sees_frames
            )
            size = stream.width, stream.height
            key_frames = [
                key_frame
                for part in _parts(clips, self.options.batch_size)
                for key_frame in self._key_frames(video, part, plan, size)
            ]
            duration, num_damaged = stream.duration, stream.num_damaged
        num_persons = sum(len(key_frame.persons) for key_frame in key_frames)
        if not num_persons:
            log.warning(f"{video}: no person in {len(key_frames)} key frames ({self.persons.how})")
        return Prediction(
            video=video,
            model=self.network.source,
            task="detection",
            protocol=self._protocol(len(key_frames), num_persons, num_damaged),
            duration=duration,
            key_frames=key_frames,
        )

    def _key_frames(
        self, video: str, clips: tuple[KeyFrameClip, ...], plan: CropPlan, size: tuple[int, int]
    ) -> Iterator[KeyFrame]:
        """The results of a few key frames; without persons the network is not run.

        size: width and height of the video.
        """
        moments = [clip.moment for clip in clips]
        frames = [clip.whole for clip in clips if clip.whole is not None]
        boxes = self.persons.boxes(video, moments, frames)
        filled = [number for number, rows in enumerate(boxes) if len(rows)]
        samples = []
        for index, number in enumerate(filled):
            finished = self.transforms.finish(clips[number].frames, _rng(0))
            samples.append(box_sample(finished, plan, size, boxes[number][:, :4], index))
        scored = dict(zip(filled, self._scores(samples), strict=True))
        for number, moment in enumerate(moments):
            persons = [
                Person(_corners(boxes[number][row]), float(boxes[number][row, 4]), actions)
                for row, actions in scored.get(number, [])
            ]
            yield KeyFrame(moment, persons)

    def _scores(self, samples: list[BoxSample]) -> list[list[tuple[int, list[ScoredClass]]]]:
        """Row and actions of the boxes of each sample; those outside of all views are left out."""
        if not samples:
            return []
        batch = cast(BoxBatch, collate_boxes(samples))  # nothing was skipped
        found = self.network.net.predict(to_device(batch, self.network.device))
        shown = np.unique(batch["box_proposal"].numpy())  # in the order of the scores
        owner = batch["proposal_sample"].numpy()
        first = np.searchsorted(owner, np.arange(len(samples)))
        actions: list[list[tuple[int, list[ScoredClass]]]] = [[] for _ in samples]
        for proposal, scores in zip(shown, found["scores"].float().cpu().numpy(), strict=True):
            sample = owner[proposal]
            actions[sample].append((int(proposal - first[sample]), self._actions(scores)))
        return actions

    def _actions(self, scores: np.ndarray) -> list[ScoredClass]:
        """The named actions of a person (K,), best first."""
        least = MIN_SCORE if self.options.min_score is None else self.options.min_score
        ranked = best_classes(scores, self.names, len(scores))
        actions = [a for a in ranked if a.score >= least and not (self.background and a.label == 0)]
        return actions[: self.options.topk]

    def _protocol(self, num_key_frames: int, num_persons: int, num_damaged: int) -> str:
        """E.g. `1 view, 8x8 frames, short side 256, persons of a.npz, score >= 0.9, ...`."""
        views, short_side = self.transforms.num_crops, self.transforms.short_side
        parts = [
            f"{views} view{'s' * (views != 1)}",
            frames_of(self.sampling.clip_len, self.sampling.frame_interval),
            *([f"short side {short_side}"] if short_side is not None else []),
            self.persons.how,
            f"{num_persons:,} in {num_key_frames:,} key frames",
        ]
        if num_damaged:
            parts.append(f"{num_damaged:,} damaged frames replaced by the ones before")
        return ", ".join(parts)


def _parts(clips: Iterable[KeyFrameClip], size: int) -> Iterator[tuple[KeyFrameClip, ...]]:
    """At most `size` at a time, each part before the next clip is read."""
    rest = iter(clips)
    while part := tuple(islice(rest, size)):
        yield part


def _names(network: Network, file: str | None, background: bool) -> list[str]:
    """The name of each column; those of a file are for the columns after the background.

    file: one name per line, or a label map, see `read_classes`. Raises ValueError if they do not
    fit.
    """
    names = list(network.description.class_names)
    if file is None:
        return names
    given = read_classes(file, first=int(background))
    num_actions = len(names) - int(background)
    if max(given) >= len(names) or (not file.endswith(".pbtxt") and len(given) != num_actions):
        raise ValueError(
            f"names={file} has {len(given)} names up to number {max(given)}, but the network tells "
            f"{num_actions} actions apart"
        )
    for number, name in given.items():
        names[number] = name
    return names


def _begin_of(reader: object) -> float | None:
    """Time at which the files of the training's data begin; see `begin_of`."""
    if isinstance(reader, Movies):
        return reader.begin
    if isinstance(reader, FrameFolders | NumberedFrames):
        return reader.timestamp_start
    return 0.0


def _corners(row: np.ndarray) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = row[:4].tolist()
    return x1, y1, x2, y2
