"""Clips around key frames, with the boxes in them: spatio-temporal detection."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from torch.utils.data import Dataset

from vidrec.data.boxes.collate import BoxSample, collate_boxes
from vidrec.data.boxes.key_frames import (
    MomentReader,
    check_key_frames,
    check_videos,
    find_videos,
)
from vidrec.data.boxes.records import BoxRecords, KeyFrame
from vidrec.data.transforms.pipeline import Pipeline, Step
from vidrec.data.unreadable import Skipped, read_or_replace
from vidrec.data.video.geometry import CropPlan


class Sampling(Protocol):
    clip_len: int
    frame_interval: int
    num_views: int

    def __call__(self, timestamp: float, rng: np.random.Generator) -> np.ndarray: ...


class Bank(Protocol):
    def check(self, videos: Sequence[str]) -> None: ...

    def features(self, video: str, timestamp: float, rng: np.random.Generator) -> np.ndarray: ...


class BoxDataset(Dataset):
    """Samples of a `BoxBatch`.

    A sample is a function of (seed, epoch, index) alone, whichever worker or rank loads it.

    records: key frames with ground truth and proposals. prefix: folder of the videos, which are
        files or folders of frames; their names in the annotations may lack the extension.
    bank: long-term features around a key frame (Wu et al., CVPR 2019).
    on_bad_video: `raise` stops; `skip` drops the sample; `replace` takes another, random one.
    """

    collate = staticmethod(collate_boxes)

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        records: BoxRecords,
        reader: MomentReader,
        sampling: Sampling,
        steps: Mapping[str, Step | None],
        prefix: str = "",
        bank: Bank | None = None,
        on_bad_video: str = "raise",
        seed: int = 0,
    ) -> None:
        self.records = records
        self.reader = reader
        self.sampling = sampling
        self.transforms = Pipeline(steps)
        self.prefix = prefix
        self.bank = bank
        self.on_bad_video = on_bad_video
        self.seed = seed
        self.paths = find_videos(records.videos, prefix)
        check_videos(self.paths, prefix, must=on_bad_video == "raise")
        check_key_frames(records, self.paths, reader, must=on_bad_video == "raise")
        if bank is not None:
            bank.check(records.videos)

    def __len__(self) -> int:
        return len(self.records)

    def path(self, index: int) -> str:
        """The path of the video of key frame `index`."""
        return self.paths[int(self.records.video[index])]

    def __getitem__(self, key: int | tuple[int, int]) -> BoxSample | Skipped:
        """The sample of `(epoch, index)`, or of `index` in epoch 0.

        `bad_videos` lists the files that could not be read.
        """
        epoch, index = key if isinstance(key, tuple) else (0, key)
        rng = np.random.default_rng((self.seed, epoch, index))
        return read_or_replace(self, index, rng)

    def load(self, index: int, rng: np.random.Generator) -> BoxSample:
        """The sample of row `index`. Raises VideoError if its file cannot be read."""
        record = self.records[index]
        moments = self.sampling(record.timestamp, rng)
        source, indices = self.reader.open(self.path(index), record, moments)
        with source:
            plan = self.transforms.plan(source.width, source.height, rng)
            frames = self.transforms.finish(source.read(indices, plan), rng)
            size = source.width, source.height
        sample = box_sample(frames, plan, size, record.proposals, index)
        # In a key frame without persons nobody does anything, whatever is proposed.
        persons = record.boxes if len(record.boxes) else record.proposals
        boxes = persons * np.array([*size, *size])
        gt_boxes, _, which = _boxes_in_views(boxes, plan, _views(plan)[:1])
        sample["gt_boxes"] = gt_boxes
        sample["gt_sample"] = np.zeros(len(gt_boxes), dtype=np.int64)
        sample["gt_labels"] = self._labels(record, len(persons), plan)[which]
        if self.bank is not None:
            sample["bank"] = self.bank.features(record.video, record.timestamp, rng)[None]
        return sample

    def _labels(self, record: KeyFrame, num_persons: int, plan: CropPlan) -> np.ndarray:
        """(G, K) float32, after mirroring; zeros for persons without an action."""
        rows = np.zeros((num_persons, self.records.num_classes), dtype=np.float32)
        for i, columns in enumerate(record.labels):
            rows[i, list(columns)] = 1
            rows[i] = self.transforms.label(rows[i], plan)
        return rows


def box_sample(
    frames: np.ndarray,
    plan: CropPlan,
    size: tuple[int, int],
    proposals: np.ndarray,
    index: int,
) -> BoxSample:
    """The sample of a clip without ground truth.

    frames: (T, h, w, C), as the plan cut them. size: width and height of the video. proposals:
    (P, 4) float32, normalised to [0, 1]. index: of the sample.
    """
    views = _views(plan)
    video = np.stack([_cut(frames, view) for view in views])
    scale = np.array([*size, *size])
    boxes, view, proposal = _boxes_in_views(proposals * scale, plan, views)
    return {
        "video": video[None],
        "size": np.array([video.shape[2:4]], dtype=np.int64),
        "boxes": boxes,
        "box_view": view,
        "box_proposal": proposal,
        "proposals": proposals,
        "proposal_sample": np.zeros(len(proposals), dtype=np.int64),
        "gt_boxes": np.zeros((0, 4), np.float32),
        "gt_sample": np.zeros(0, np.int64),
        "gt_labels": np.zeros((0, 0), np.float32),
        "index": np.array([index], dtype=np.int64),
    }


View = tuple[int, int, int, int, int]  # left, top, width, height in pixels; 1 for a mirrored one


def _views(plan: CropPlan) -> tuple[View, ...]:
    return plan.crops or ((0, 0, plan.size[1], plan.size[0], 0),)


def _cut(frames: np.ndarray, view: View) -> np.ndarray:
    left, top, width, height, mirrored = view
    part = frames[:, top : top + height, left : left + width]
    return part[:, :, ::-1] if mirrored else part


def _boxes_in_views(
    boxes: np.ndarray, plan: CropPlan, views: tuple[View, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (n, 4) in pixels of the source, moved into each of the views and clipped to it.

    Returns those with some area left (R, 4) float32, their views (R,) and their rows (R,) int64.
    """
    moved = plan.move(boxes)
    parts, numbers, rows = [], [], []
    for number, (left, top, width, height, mirrored) in enumerate(views):
        inside = moved - [left, top, left, top]
        if mirrored:
            inside = inside[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [width, 0, width, 0]
        inside = inside.clip(0, [width, height, width, height]).astype(np.float32)
        kept = np.flatnonzero((inside[:, 2] > inside[:, 0]) & (inside[:, 3] > inside[:, 1]))
        parts.append(inside[kept])
        numbers.append(np.full(len(kept), number))
        rows.append(kept)
    return (
        np.concatenate(parts),
        np.concatenate(numbers).astype(np.int64),
        np.concatenate(rows).astype(np.int64),
    )
