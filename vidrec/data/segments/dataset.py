"""Feature sequences of untrimmed videos with the labels of their segments."""

import logging
import math
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from torch.utils.data import Dataset

from vidrec.data.segments.boundary_labels import clear_padding
from vidrec.data.segments.collate import FeatureSample, collate_features
from vidrec.data.segments.features import Features
from vidrec.data.segments.records import SegmentRecords

log = logging.getLogger(__name__)

Labels = Callable[[np.ndarray], dict[str, np.ndarray]]


class SlidingWindows:
    """Long videos as overlapping sequences of `temporal_dim` features (THUMOS14).

    stride: features from one sequence to the next. snippet_seconds: duration that one feature
        covers; None divides the duration of the video by its number of features.
    min_overlap: a segment belongs to a sequence that contains at least this fraction of it.
    labelled_only: drop sequences without segments, as in training.
    """

    def __init__(
        self,
        stride: int,
        snippet_seconds: float | None = None,
        min_overlap: float = 0.9,
        labelled_only: bool = False,
    ) -> None:
        if stride < 1:
            raise ValueError(f"stride={stride} of the windows must be at least 1")
        if snippet_seconds is not None and not 0 < snippet_seconds < math.inf:
            raise ValueError(f"snippet_seconds={snippet_seconds} of the windows must be positive")
        self.stride = stride
        self.snippet_seconds = snippet_seconds
        self.min_overlap = min_overlap
        self.labelled_only = labelled_only

    def starts(self, num_features: int, length: int) -> np.ndarray:
        """First features of the sequences; the last sequence ends with the video."""
        last = max(num_features - length, 0)
        return np.unique(np.append(np.arange(0, last, self.stride), last))


class ActivityNetDataset(Dataset):
    """Samples of a `FeatureBatch`.

    records: the videos; features: their sequences; labels: the training targets, from segments
        (G, 2) normalised to the sequence.
    temporal_dim, feat_dim: length and channels of a sample.
    resize: resample sequences of other lengths to temporal_dim; each new feature is the mean over
        its part of the interpolated old ones.
    windows: cut long sequences instead.
    skip_missing: drop videos without features from the samples; metrics still count them.

    Raises ValueError or FileNotFoundError if a sequence is missing or has another shape.
    """

    collate = staticmethod(collate_features)

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        records: SegmentRecords,
        features: Features,
        labels: Labels,
        temporal_dim: int,
        feat_dim: int,
        resize: bool = False,
        windows: SlidingWindows | None = None,
        skip_missing: bool = False,
    ) -> None:
        self.records = records
        self.features = features
        self.labels = labels
        self.temporal_dim = temporal_dim
        self.feat_dim = feat_dim
        self.resize = resize
        self.windows = windows
        rows = _rows_with(records, features, skip_missing)
        names = [records.name(row) for row in rows]
        features.prepare(names)
        lengths = [self._checked_length(name) for name in names]
        self.rows, self.firsts = self._samples(rows, lengths)

    def _checked_length(self, name: str) -> int:
        length, channels = self.features.shape(name)
        file = self.features.file(name)
        if channels != self.feat_dim:
            swapped = (
                "; its axes seem to be swapped: change data.channels_first"
                if length == self.feat_dim
                else ""
            )
            raise ValueError(
                f"{file} has {channels} channels, but data.feat_dim={self.feat_dim}{swapped}"
            )
        if length != self.temporal_dim and not self.resize and self.windows is None:
            raise ValueError(
                f"{file} has {length} features, but data.temporal_dim={self.temporal_dim}: "
                "data.resize=true resamples sequences to this length"
            )
        if length == 0:
            raise ValueError(f"{file} is empty")
        if length == 1 and self.resize and self.temporal_dim > 1:
            raise ValueError(
                f"{file} has a single feature, which data.resize=true would only repeat: extract "
                "features with a smaller stride, or leave the video out of the annotations"
            )
        return length

    def _samples(self, rows: Sequence[int], lengths: Sequence[int]) -> tuple[np.ndarray, ...]:
        """Video and first feature of every sample."""
        if self.windows is None:
            return np.array(rows, np.int64), np.zeros(len(rows), np.int64)
        pairs = []
        for row, length in zip(rows, lengths, strict=True):
            for first in self.windows.starts(length, self.temporal_dim).tolist():
                if self._num_real(row, first, length) and (
                    not self.windows.labelled_only or len(self._inside(row, first, length))
                ):
                    pairs.append((row, first))
        self._warn_of_other_lengths(rows, lengths)
        if not pairs:
            raise ValueError(
                f"none of {len(rows)} videos has a segment that fits into its windows of "
                f"data.temporal_dim={self.temporal_dim} features; see data.windows"
            )
        table = np.array(pairs, np.int64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def _warn_of_other_lengths(self, rows: Sequence[int], lengths: Sequence[int]) -> None:
        """Count the videos that last much shorter or longer than their features."""
        assert self.windows is not None
        if (seconds := self.windows.snippet_seconds) is None:
            return
        durations = self.records.times[np.array(rows), 0]
        cover = np.array(lengths) * seconds
        other = (cover < durations / 1.5 - 10 * seconds) | (cover > durations * 1.5 + 10 * seconds)
        if other.any():
            first = int(np.argmax(other))
            log.warning(
                f"the features of {other.sum()} of {len(rows)} videos do not fit their duration, "
                f"such as {self.records.name(rows[first])}: {lengths[first]} features of "
                f"data.windows.snippet_seconds={seconds:g} in {durations[first]:g} seconds"
            )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: int | tuple[int, int]) -> FeatureSample:
        """The sample of `(epoch, index)`; it is the same in every epoch."""
        index = key[1] if isinstance(key, tuple) else key
        row, first = int(self.rows[index]), int(self.firsts[index])
        record = self.records[row]
        features = self.features.read(record.name)
        num_real = self.temporal_dim
        if self.windows is None:
            sequence = resized(features, self.temporal_dim)
            window = (0.0, record.result_span)
            segments = (record.segments / record.span).clip(0, 1)
        else:
            window = self._window(row, first, len(features))
            num_real = self._num_real(row, first, len(features))
            sequence = np.zeros((self.temporal_dim, features.shape[1]), np.float32)
            sequence[:num_real] = features[first : first + num_real]
            segments = self._inside(row, first, len(features))
        labels = self.labels(segments.astype(np.float32))
        if num_real < self.temporal_dim:
            clear_padding(labels, num_real)
        sample: FeatureSample = {
            "feature": np.ascontiguousarray(sequence.T)[None],
            "index": np.array([index], np.int64),
            "row": np.array([row], np.int64),
            "window": np.array([window], np.float64),
        }
        if self.windows is not None:
            begin, seconds = window
            end = min(record.duration, begin + num_real / self.temporal_dim * seconds)
            sample["video_end"] = np.array([end], np.float64)
        targets = {name: value[None] for name, value in labels.items()}
        return cast(FeatureSample, {**sample, **targets})

    def _window(self, row: int, first: int, num_features: int) -> tuple[float, float]:
        """Start and duration of a sequence in seconds."""
        assert self.windows is not None
        seconds = self.windows.snippet_seconds or float(self.records.times[row, 0]) / num_features
        return first * seconds, self.temporal_dim * seconds

    def _num_real(self, row: int, first: int, num_features: int) -> int:
        """How many features of a sequence begin before the end of the video; then comes padding."""
        begin, seconds = self._window(row, first, num_features)
        until = (float(self.records.times[row, 0]) - begin) / seconds * self.temporal_dim
        there = min(num_features - first, self.temporal_dim)
        return max(min(there, math.ceil(until - 1e-6)), 0)

    def _inside(self, row: int, first: int, num_features: int) -> np.ndarray:
        """The segments of a video that belong to a sequence, normalised to it, (G, 2)."""
        assert self.windows is not None
        begin, span = self._window(row, first, num_features)
        record = self.records[row]
        segments = (record.segments.clip(0, record.duration) - begin) / span
        cut = segments.clip(0, 1)
        length = segments[:, 1] - segments[:, 0]
        return cut[(cut[:, 1] - cut[:, 0] >= self.windows.min_overlap * length) & (length > 0)]


def _rows_with(records: SegmentRecords, features: Features, skip_missing: bool) -> list[int]:
    rows = [row for row in range(len(records)) if records.name(row) in features]
    missing = len(records) - len(rows)
    if missing and not skip_missing:
        present = set(rows)
        first = next(row for row in range(len(records)) if row not in present)
        raise FileNotFoundError(
            f"{missing} of {len(records)} annotated videos have no features in {features.place}, "
            f"the first is {records.name(first)}; data.skip_missing=true skips them"
        )
    if not rows:
        raise FileNotFoundError(f"none of the annotated videos has features in {features.place}")
    return rows


def resized(features: np.ndarray, length: int) -> np.ndarray:
    """(T, C) -> (length, C): the mean of the interpolated sequence over each of equal parts."""
    old = len(features)
    if old == length:
        return features
    points = max(1, -(-old // length))  # in each part, at least as many as it has features
    position = (np.arange(length * points) + 0.5) * (old / (length * points)) - 0.5
    position = position.clip(0, old - 1)
    low = np.floor(position).astype(np.int64)
    part = (position - low)[:, None].astype(features.dtype)
    sampled = features[low] * (1 - part) + features[np.minimum(low + 1, old - 1)] * part
    return sampled.reshape(length, points, -1).mean(axis=1)
