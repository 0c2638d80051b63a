"""Clips of videos, or of folders of frames, with one or several labels each."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from vidrec.data.clips.collate import ClipSample, ViewSample, collate_clips
from vidrec.data.clips.records import Record, Records
from vidrec.data.clips.sampling import Sampling
from vidrec.data.transforms.pipeline import Pipeline, Step
from vidrec.data.unreadable import Skipped, read_or_replace
from vidrec.data.video.decoder import Decoder, Reader
from vidrec.data.video.geometry import CropPlan


class VideoDataset(Dataset):
    """Samples of a `ClipBatch`, or of a `ViewBatch` if the transforms cut several crops.

    A sample is a function of (seed, epoch, index) alone, whichever worker or rank loads it.

    records: what to read; paths are relative to `prefix`.
    frames_per_view: frames seen jointly, T; None takes all sampled frames as one view (TSN).
    stack: consecutive sampled frames stacked into the channels of one (optical flow).
    copies: clips cut from each video (repeated augmentation, Hoffer et al., CVPR 2020), each with
        its own crop and colours. A batch of N videos has N * copies rows, copies side by side.
    same_frames: the copies show the same frames, decoded once; otherwise each samples its own.
    on_bad_video: `raise` stops; `skip` drops the sample; `replace` takes another, random one.

    >>> import tempfile
    >>> from vidrec.data.clips.annotations import read_class_folders
    >>> from vidrec.data.clips.sampling import SampleFrames
    >>> from vidrec.data.transforms.geometric import CenterCrop
    >>> from vidrec.data.video.pyav import VideoReader
    >>> from vidrec.data.video.writer import write_video
    >>> folder = tempfile.TemporaryDirectory()  # of videos in a folder for each class
    >>> Path(folder.name, "jump").mkdir()
    >>> write_video(Path(folder.name, "jump", "a.mp4"), np.zeros((9, 48, 64, 3), np.uint8), 9)
    >>> records = read_class_folders(folder.name)
    >>> sampling, steps = SampleFrames(4, test_mode=True), {"crop": CenterCrop(32)}
    >>> dataset = VideoDataset(records, VideoReader(), sampling, steps, 1, prefix=folder.name)
    >>> batch = dataset.collate([dataset[0], dataset[0]])
    >>> records.class_names, tuple(batch["video"].shape), batch["label"]
    (['jump'], (2, 1, 4, 32, 32, 3), tensor([0, 0]))
    """

    collate = staticmethod(collate_clips)

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        records: Records,
        reader: Reader,
        sampling: Sampling,
        steps: Mapping[str, Step | None],
        num_classes: int,
        prefix: str = "",
        frames_per_view: int | None = None,
        stack: int = 1,
        copies: int = 1,
        same_frames: bool = True,
        on_bad_video: str = "raise",
        seed: int = 0,
    ) -> None:
        self.records = records
        self.reader = reader
        self.sampling = sampling
        self.transforms = Pipeline(steps)
        self.num_classes = num_classes
        self.prefix = prefix
        self.frames_per_view = frames_per_view
        self.stack = stack
        self.copies = copies
        self.same_frames = same_frames
        self.on_bad_video = on_bad_video
        self.seed = seed

    def __len__(self) -> int:
        return len(self.records)

    def path(self, index: int) -> str:
        """The path of the video of row `index`."""
        return str(Path(self.prefix, self.records[index].path))

    def __getitem__(self, key: int | tuple[int, int]) -> ClipSample | ViewSample | Skipped:
        """The sample of `(epoch, index)`, or of `index` in epoch 0.

        `bad_videos` lists the files that could not be read.
        """
        epoch, index = key if isinstance(key, tuple) else (0, key)
        rng = np.random.default_rng((self.seed, epoch, index))
        return read_or_replace(self, index, rng)

    def load(self, index: int, rng: np.random.Generator) -> ClipSample | ViewSample:
        """The sample of row `index`. Raises VideoError if its file cannot be read."""
        record = self.records[index]
        with self.reader.open(self.path(index), record.num_frames, record.offset) as source:
            clips = [
                self._sample(source, rng) for _ in range(1 if self.same_frames else self.copies)
            ]
            plans = [
                self.transforms.plan(source.width, source.height, rng) for _ in range(self.copies)
            ]
            label = np.stack([self.transforms.label(self._label(record), plan) for plan in plans])
            rows = np.full(len(plans), index, dtype=np.int64)
            if plans[0].crops:
                video, frames, crop = self._read_views(source, clips[0], plans[0], rng)
                return {
                    "video": video,
                    "frames": frames,
                    "crop": crop,
                    "label": label,
                    "index": rows,
                }
            return {
                "video": self._read_clips(source, clips, plans, rng),
                "label": label,
                "index": rows,
            }

    def _sample(self, source: Decoder, rng: np.random.Generator) -> np.ndarray:
        """Which frames the views show, (V, T, stack)."""
        sampled = self.sampling(source.num_frames, source.fps, rng)
        length = self.frames_per_view * self.stack if self.frames_per_view else sampled.size
        return sampled.reshape(-1, length // self.stack, self.stack)

    def _read_clips(
        self,
        source: Decoder,
        clips: Sequence[np.ndarray],
        plans: Sequence[CropPlan],
        rng: np.random.Generator,
    ) -> np.ndarray:
        """(R, V, T, h, w, C): one copy for each plan, of the same frames or of its own."""
        if self.same_frames:
            videos = source.read_many(clips[0].reshape(-1).tolist(), plans)
        else:
            videos = [
                source.read(views.reshape(-1).tolist(), plan)
                for views, plan in zip(clips, plans, strict=True)
            ]
        videos = [self._stacked(self.transforms.finish(video, rng)) for video in videos]
        shape = clips[0].shape[:2]
        return np.stack([video.reshape(*shape, *video.shape[1:]) for video in videos])

    def _read_views(
        self, source: Decoder, views: np.ndarray, plan: CropPlan, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`video`, `frames` and `crop` of a `ViewSample`: each distinct frame is read once."""
        num_views, length, stack = views.shape
        groups, row = np.unique(views.reshape(-1, stack), axis=0, return_inverse=True)
        video = self.transforms.finish(source.read(groups.reshape(-1).tolist(), plan), rng)
        frames = row.reshape(num_views, length)
        crops = np.array(plan.crops, dtype=np.int64)
        frames_of_views = np.repeat(frames, len(crops), axis=0)
        return self._stacked(video), frames_of_views, np.tile(crops, (num_views, 1))

    def _stacked(self, video: np.ndarray) -> np.ndarray:
        """(F, H, W, C) -> (F / stack, H, W, stack * C), frames in time order along the channels."""
        if self.stack == 1:
            return video
        frames, height, width, channels = video.shape
        groups = video.reshape(frames // self.stack, self.stack, height, width, channels)
        return groups.transpose(0, 2, 3, 1, 4).reshape(
            frames // self.stack, height, width, self.stack * channels
        )

    def _label(self, record: Record) -> np.ndarray:
        """() int64, or (K,) float32 for multi-label."""
        if isinstance(record.label, int):
            return np.array(record.label, dtype=np.int64)
        row = np.zeros(self.num_classes, dtype=np.float32)
        row[list(record.label)] = 1
        return row
