"""A dataset: samples that are drawn instead of read."""

from collections.abc import Mapping

import numpy as np

from vidrec.data.clips.collate import ClipSample
from vidrec.data.clips.dataset import VideoDataset
from vidrec.data.clips.records import Records
from vidrec.data.clips.sampling import Sampling
from vidrec.data.transforms.pipeline import Step
from vidrec.data.video.pyav import VideoReader

NAMES = ("left", "right", "up", "down")


class Squares(VideoDataset):
    """A bright square that moves in one of four directions.

    A sample is a function of (seed, epoch, index) alone, so that runs can be resumed.

    num_samples: of this split. num_frames: of a video. size: of a frame, pixels.
    """

    def __init__(
        self,
        num_samples: int,
        sampling: Sampling,
        steps: Mapping[str, Step | None],
        num_frames: int = 16,
        size: int = 32,
        seed: int = 0,
    ) -> None:
        paths = [f"square_{seed}_{number}" for number in range(num_samples)]
        records = Records.pack(paths, [number % len(NAMES) for number in range(num_samples)])
        records.class_names = NAMES
        super().__init__(records, VideoReader(), sampling, steps, len(NAMES), seed=seed)
        self.num_frames = num_frames
        self.size = size

    def load(self, index: int, rng: np.random.Generator) -> ClipSample:
        """The sample of row `index`: `video` (1, V, T, H, W, C) uint8, `label` and `index` (1,)."""
        label = self.records[index].label
        numbers = self.sampling(self.num_frames, None, rng)  # (V, T)
        frames = self._draw(int(label), np.random.default_rng((self.seed, index)))
        clips = self.transforms.finish(frames[numbers.reshape(-1)], rng)
        return {
            "video": clips.reshape(1, *numbers.shape, *clips.shape[1:]),
            "label": np.array([label], dtype=np.int64),
            "index": np.array([index], dtype=np.int64),
        }

    def _draw(self, label: int, rng: np.random.Generator) -> np.ndarray:
        """The whole video, (F, H, W, 3) uint8."""
        frames = rng.integers(0, 60, (self.num_frames, self.size, self.size, 3), dtype=np.uint8)
        edge = self.size // 4
        x, y = rng.integers(edge, self.size - 2 * edge, 2)
        for number, frame in enumerate(frames):
            moved = round((number / (self.num_frames - 1) - 0.5) * 2 * edge)
            dx, dy = ((-moved, 0), (moved, 0), (0, -moved), (0, moved))[label]
            frame[y + dy : y + dy + edge, x + dx : x + dx + edge] = 255
        return frames
