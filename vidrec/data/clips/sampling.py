"""Which frames of a video form a sample. Opens no video.

Every sampler is called with the number of frames, the frame rate (None if the source has no clock)
and a random generator, and returns (clips, frames) int64 frame numbers counted from 0. In test mode
the generator is not used, so that a video always gives the same frames; only `temporal_jitter`
draws in test mode too.
"""

import math
from typing import Protocol

import numpy as np


class Sampling(Protocol):
    """What every sampler of this module offers.

    clip_len: frames of a clip. frame_interval: distance between them in frames; None if it depends
        on the length of the video.
    """

    clip_len: int

    @property
    def frame_interval(self) -> int | None: ...

    @property
    def num_views(self) -> int | None:
        """Clips returned for one video; None if it depends on the length of the video."""

    def __call__(self, num_frames: int, fps: float | None, rng: np.random.Generator) -> np.ndarray:
        """(clips, clip_len) int64 frame numbers."""


class SampleFrames:
    """Clips of equally spaced frames, spread over the video (TSN, Wang et al., 2016, section 3.1).

    In training one clip starts at random in each of `num_clips` equal segments. In test mode clips
    of one frame are taken from the middle of the segments (2D networks); longer ones start at equal
    distances from the first possible frame to the last (3D networks), a single one in the middle.

    clip_len: frames of a clip. frame_interval: distance between them, in frames.
    temporal_jitter: move every frame by a random 0 to `frame_interval` - 1.
    twice_sample: in test mode twice as many clips (TSM, Lin et al., 2019). For one-frame clips the
        second half are the first frames of the segments. For longer clips the distance stays that
        of `num_clips`, so that the later ones pass the end, as in MMAction2 1.2.0; a single clip,
        which it cannot double, becomes the first and the last possible one.
    out_of_bound: frames past the end: `loop` continues from the first frame, `repeat_last` repeats
        the last frame of the clip that exists (frame 0 if none does).
    keep_tail_frames: in training let the segments have fractional lengths, so that they reach the
        end of the video.
    target_fps: frames per second that `frame_interval` counts in, as in PySlowFast; videos without
        a clock are assumed to have it.

    >>> sample = SampleFrames(clip_len=4, frame_interval=2, num_clips=2, test_mode=True)
    >>> sample(num_frames=20, fps=25.0, rng=np.random.default_rng(0))
    array([[ 0,  2,  4,  6],
           [13, 15, 17, 19]])
    """

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        clip_len: int,
        frame_interval: int = 1,
        num_clips: int = 1,
        temporal_jitter: bool = False,
        twice_sample: bool = False,
        out_of_bound: str = "loop",
        test_mode: bool = False,
        keep_tail_frames: bool = False,
        target_fps: float | None = None,
    ) -> None:
        _check_counts(clip_len=clip_len, frame_interval=frame_interval, num_clips=num_clips)
        _check_out_of_bound(out_of_bound)
        if target_fps is not None and not (target_fps > 0 and math.isfinite(target_fps)):
            raise ValueError(f"target_fps={target_fps} is not a frame rate; give a number above 0")
        self.clip_len = clip_len
        self.frame_interval = frame_interval
        self.num_clips = num_clips
        self.temporal_jitter = temporal_jitter
        self.twice_sample = twice_sample
        self.out_of_bound = out_of_bound
        self.test_mode = test_mode
        self.keep_tail_frames = keep_tail_frames
        self.target_fps = target_fps

    @property
    def num_views(self) -> int:
        """Clips returned for one video."""
        return 2 * self.num_clips if self.test_mode and self.twice_sample else self.num_clips

    def __call__(self, num_frames: int, fps: float | None, rng: np.random.Generator) -> np.ndarray:
        """(num_clips, clip_len) frame numbers; twice the clips in a test with `twice_sample`."""
        _check_counts(num_frames=num_frames)
        span = self._span(fps)
        if self.target_fps is None:
            within = np.arange(self.clip_len) * self.frame_interval
        else:
            within = np.linspace(0, span - 1, self.clip_len).astype(np.int64)
        if self.test_mode:
            starts = self._test_starts(num_frames, span)
        else:
            starts = self._train_starts(num_frames, span, rng)
        frames = starts[:, None] + within
        if self.temporal_jitter:
            frames += rng.integers(self.frame_interval, size=frames.shape)
        return _bounded(frames, num_frames, self.out_of_bound)

    def _span(self, fps: float | None) -> float:
        """How many frames of the video a clip takes up."""
        if self.target_fps is not None:
            ratio = fps / self.target_fps if fps else 1.0
            return max(1.0, self.clip_len * self.frame_interval * ratio)
        if self.test_mode:
            return (self.clip_len - 1) * self.frame_interval + 1
        return self.clip_len * self.frame_interval

    def _train_starts(self, num_frames: int, span: float, rng: np.random.Generator) -> np.ndarray:
        num_clips, num_starts = self.num_clips, num_frames - span + 1
        if self.keep_tail_frames:
            if num_starts <= 0:
                return np.zeros(num_clips, dtype=np.int64)
            segment = num_starts / num_clips
            starts = np.arange(num_clips) * segment + rng.uniform(0, segment, num_clips)
            return starts.astype(np.int64)
        segment = int(num_starts // num_clips)
        if segment > 0:
            return np.arange(num_clips) * segment + rng.integers(segment, size=num_clips)
        # Fewer possible starts than clips: draw with repetition, or, in the shortest videos, spread
        # the clips over them.
        if num_frames > max(num_clips, span):
            return np.sort(rng.integers(int(num_starts), size=num_clips))
        if segment == 0:
            return np.around(np.arange(num_clips) * (num_starts / num_clips)).astype(np.int64)
        return np.zeros(num_clips, dtype=np.int64)

    def _test_starts(self, num_frames: int, span: float) -> np.ndarray:
        if self.clip_len == 1:
            segment = num_frames / self.num_clips
            edges = np.arange(self.num_clips) * segment
            middles = edges + segment / 2
            starts = np.concatenate([middles, edges]) if self.twice_sample else middles
            return starts.astype(np.int64)
        last = max(num_frames - span, 0)
        num_clips = self.num_views
        if num_clips == 1:
            return np.array([last // 2], dtype=np.int64)
        distance = last / max(self.num_clips - 1, 1)
        if self.target_fps is not None:
            return np.arange(num_clips) * math.floor(distance)
        return np.round(np.arange(num_clips) * distance).astype(np.int64)


class DenseSampleFrames:
    """Clips at equal distances within one range (non-local networks, Wang et al., 2018, section 4).

    In training the range starts at random. In test mode there are `num_sample_positions` ranges,
    from the first possible one to the last, each with `num_clips` clips.

    sample_range: length of a range, in frames. The other arguments are those of `SampleFrames`.

    >>> sample = DenseSampleFrames(2, frame_interval=4, num_sample_positions=2, test_mode=True)
    >>> sample(num_frames=100, fps=25.0, rng=np.random.default_rng(0))
    array([[ 0,  4],
           [36, 40]])
    """

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        clip_len: int,
        frame_interval: int = 1,
        num_clips: int = 1,
        sample_range: int = 64,
        num_sample_positions: int = 10,
        temporal_jitter: bool = False,
        out_of_bound: str = "loop",
        test_mode: bool = False,
    ) -> None:
        _check_counts(clip_len=clip_len, frame_interval=frame_interval, num_clips=num_clips)
        _check_counts(sample_range=sample_range, num_sample_positions=num_sample_positions)
        _check_out_of_bound(out_of_bound)
        self.clip_len = clip_len
        self.frame_interval = frame_interval
        self.num_clips = num_clips
        self.sample_range = sample_range
        self.num_sample_positions = num_sample_positions
        self.temporal_jitter = temporal_jitter
        self.out_of_bound = out_of_bound
        self.test_mode = test_mode

    @property
    def num_views(self) -> int:
        """Clips returned for one video."""
        return self.num_clips * (self.num_sample_positions if self.test_mode else 1)

    def __call__(self, num_frames: int, fps: float | None, rng: np.random.Generator) -> np.ndarray:
        """(num_clips, clip_len) frame numbers; in tests `num_sample_positions` times as many."""
        _check_counts(num_frames=num_frames)
        last = max(0, num_frames - self.sample_range)
        if self.test_mode:
            ranges = np.linspace(0, last, self.num_sample_positions).astype(np.int64)
        else:
            # As published (TSM, MMAction2 1.2.0), the last possible range is never drawn.
            ranges = rng.integers(max(last, 1), size=1)
        distance = self.sample_range // self.num_clips
        starts = (ranges[:, None] + np.arange(self.num_clips) * distance).reshape(-1) % num_frames
        frames = starts[:, None] + np.arange(self.clip_len) * self.frame_interval
        if self.temporal_jitter:
            frames += rng.integers(self.frame_interval, size=frames.shape)
        return _bounded(frames, num_frames, self.out_of_bound)


class UniformSample:
    """One frame from each of `clip_len` equal parts of the video.

    In training a random one, sampled anew for every clip. In test mode clip k of n (from 0) takes
    the frame at (k + 1) / (n + 1) of each part.
    """

    frame_interval = None

    def __init__(self, clip_len: int, num_clips: int = 1, test_mode: bool = False) -> None:
        _check_counts(clip_len=clip_len, num_clips=num_clips)
        self.clip_len = clip_len
        self.num_clips = num_clips
        self.test_mode = test_mode

    @property
    def num_views(self) -> int:
        """Clips returned for one video."""
        return self.num_clips

    def __call__(self, num_frames: int, fps: float | None, rng: np.random.Generator) -> np.ndarray:
        """(num_clips, clip_len) frame numbers."""
        _check_counts(num_frames=num_frames)
        part = (num_frames - 1) / self.clip_len
        edges = np.round(part * np.arange(self.clip_len + 1)).astype(np.int64)
        if self.test_mode:
            shares = part / (self.num_clips + 1) * np.arange(1, self.num_clips + 1)
            return edges[:-1] + shares.astype(np.int64)[:, None]
        shape = (self.num_clips, self.clip_len)
        return rng.integers(edges[:-1], edges[1:], size=shape, endpoint=True)


class UniformSampleFrames:
    """One random frame from each of equal parts of the video (PoseC3D, Duan et al., 2022, 3.2).

    In videos shorter than two clips random frames are left out; in videos shorter than one clip it
    continues from the first frame.

    seed: of the random frames in test mode, which are those of MMAction2 1.2.0 and the same for
        every video.
    """

    frame_interval = None

    def __init__(
        self, clip_len: int, num_clips: int = 1, test_mode: bool = False, seed: int = 255
    ) -> None:
        _check_counts(clip_len=clip_len, num_clips=num_clips)
        self.clip_len = clip_len
        self.num_clips = num_clips
        self.test_mode = test_mode
        self.seed = seed

    @property
    def num_views(self) -> int:
        """Clips returned for one video."""
        return self.num_clips

    def __call__(self, num_frames: int, fps: float | None, rng: np.random.Generator) -> np.ndarray:
        """(num_clips, clip_len) frame numbers."""
        _check_counts(num_frames=num_frames)
        # The published frames depend on the stream of numpy's legacy generator.
        old = np.random.RandomState(self.seed) if self.test_mode else None
        integers = old.randint if old else rng.integers
        choice = old.choice if old else rng.choice
        clip_len, clips = self.clip_len, []
        for clip in range(self.num_clips):
            if num_frames < clip_len:
                if not self.test_mode:
                    start = int(rng.integers(num_frames))
                elif num_frames < self.num_clips:
                    start = clip
                else:
                    start = clip * num_frames // self.num_clips
                frames = np.arange(start, start + clip_len)
            elif num_frames < 2 * clip_len:
                skip = np.zeros(clip_len + 1, dtype=np.int64)
                skip[choice(clip_len + 1, num_frames - clip_len, replace=False)] = 1
                frames = np.arange(clip_len) + np.cumsum(skip)[:-1]
            else:
                edges = np.arange(clip_len + 1) * num_frames // clip_len
                frames = edges[:-1] + integers(np.diff(edges))
            clips.append(frames % num_frames)
        return np.stack(clips).astype(np.int64)


class UntrimmedSampleFrames:
    """Clips around the middle of every `clip_interval` frames, for extracting features.

    Frame numbers outside the video are clipped to it. A video too short for the middle of an
    interval (`num_frames` <= `clip_interval` // 2), on which MMAction2 1.2.0 fails, gives one clip
    around its own middle.
    """

    def __init__(self, clip_len: int = 1, clip_interval: int = 16, frame_interval: int = 1) -> None:
        _check_counts(clip_len=clip_len, clip_interval=clip_interval, frame_interval=frame_interval)
        self.clip_len = clip_len
        self.clip_interval = clip_interval
        self.frame_interval = frame_interval

    @property
    def num_views(self) -> int | None:
        """Clips returned for one video; it depends on its length."""
        return None

    def __call__(self, num_frames: int, fps: float | None, rng: np.random.Generator) -> np.ndarray:
        """(num_frames / clip_interval, clip_len) frame numbers, rounded; at least one clip."""
        _check_counts(num_frames=num_frames)
        first = self.clip_interval // 2
        if first >= num_frames:
            first = num_frames // 2
        middles = np.arange(first, num_frames, self.clip_interval)
        within = (np.arange(self.clip_len) - self.clip_len // 2) * self.frame_interval
        return np.clip(middles[:, None] + within, 0, num_frames - 1)


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        if not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name}={value} must be a whole number of at least 1")


def _check_out_of_bound(out_of_bound: str) -> None:
    if out_of_bound not in ("loop", "repeat_last"):
        raise ValueError(f"out_of_bound={out_of_bound!r} is neither 'loop' nor 'repeat_last'")


def _bounded(frames: np.ndarray, num_frames: int, out_of_bound: str) -> np.ndarray:
    """`frames` (clips, clip_len) with those past the end replaced."""
    if out_of_bound == "loop":
        return frames % num_frames
    exists = frames < num_frames
    last = np.where(exists, frames, 0).max(axis=1, keepdims=True)
    return np.where(exists, frames, last)
