"""Long-term features of boxes: the minute around a key frame.

Wu et al., Long-Term Feature Banks for Detailed Video Understanding, CVPR 2019, section 3.2.
"""

import json
import os
from collections.abc import Mapping, Sequence

import numpy as np

from vidrec.data.boxes.keys import second_of
from vidrec.files.arrays import read_npy
from vidrec.files.atomic_write import atomic_write
from vidrec.files.text_files import read_json_file


class FeatureBank:
    """Features of boxes by second, from a file of `vidrec bank`. Workers share its memory.

    path: FILE.npy, (M, C) float16; beside it FILE.json, `{video: {second: [first row, end]}}`.
    window_size: seconds around a key frame. max_num_sampled_feat: features per second, sampled if
        there are more.
    """

    def __init__(self, path: str, window_size: int = 60, max_num_sampled_feat: int = 5) -> None:
        if window_size < 1 or max_num_sampled_feat < 1:
            raise ValueError(
                f"window_size={window_size} and max_num_sampled_feat={max_num_sampled_feat} "
                "must be at least 1"
            )
        for file in (path, index_of(path)):
            if not os.path.exists(file):
                raise FileNotFoundError(
                    f"the bank of long-term features {file} does not exist; `vidrec bank` writes it"
                )
        self.path = path
        self.rows = read_npy(path, mmap=True)
        if self.rows.ndim != 2 or self.rows.dtype.kind != "f":
            raise ValueError(
                f"{path} is no bank: an array {self.rows.shape} of {self.rows.dtype}, not (M, C) "
                "of float16"
            )
        self.index = _read_index(path, len(self.rows))
        self.window_size = window_size
        self.max_num_sampled_feat = max_num_sampled_feat

    def check(self, videos: Sequence[str]) -> None:
        """Raise ValueError if the bank has none of the videos: all features would be zeros."""
        if videos and not any(video in self.index for video in videos):
            has = f"but {next(iter(self.index))} and others" if self.index else "it is empty"
            raise ValueError(
                f"{self.path} has features of none of the {len(videos)} annotated videos, "
                f"{videos[0]} and others, {has}: it is of another split or data set"
            )

    def features(self, video: str, timestamp: float, rng: np.random.Generator) -> np.ndarray:
        """(window_size * max_num_sampled_feat, C) float32; zeros if the bank has fewer."""
        found = np.zeros(
            (self.window_size, self.max_num_sampled_feat, self.rows.shape[1]), np.float32
        )
        seconds = self.index.get(video, {})
        first = second_of(timestamp) - self.window_size // 2
        for place in range(self.window_size):
            start, stop = seconds.get(str(first + place), (0, 0))
            rows = np.arange(start, stop)
            if len(rows) > self.max_num_sampled_feat:
                rows = rng.choice(rows, self.max_num_sampled_feat, replace=False)
            found[place, : len(rows)] = self.rows[rows]
        if not np.isfinite(found).all():
            raise ValueError(
                f"{self.path}: features of {video} around {timestamp} are not finite: the bank or "
                "the weights it was made with are damaged; write it again"
            )
        return found.reshape(-1, self.rows.shape[1])


def index_of(path: str) -> str:
    """The file that lists the seconds of a bank."""
    return os.path.splitext(path)[0] + ".json"


def _read_index(path: str, num_rows: int) -> dict[str, dict[str, list[int]]]:
    """`{video: {second: [first row, end]}}` of a bank with so many rows, each in one second.

    Raises ValueError if the file is damaged or belongs to another bank.
    """
    file = index_of(path)
    index = read_json_file(file)
    if not isinstance(index, dict) or not all(isinstance(v, dict) for v in index.values()):
        raise ValueError(f"{file} is not the index of a bank; `vidrec bank` writes both again")
    listed = 0
    for video, seconds in index.items():
        for second, rows in seconds.items():
            if not _are_rows(rows, num_rows) or not second.lstrip("-").isdecimal():
                raise ValueError(
                    f"{file}: {video}, second {second}: {rows} is not [first row, end] within the "
                    f"{num_rows} rows of {path}; `vidrec bank` writes both again"
                )
            listed += rows[1] - rows[0]
    if listed != num_rows:
        raise ValueError(
            f"{file} lists {listed} rows, {path} has {num_rows}: they are not of one bank; "
            "`vidrec bank` writes both again"
        )
    return index


def _are_rows(rows: object, num_rows: int) -> bool:
    if not isinstance(rows, list) or [type(row) for row in rows] != [int, int]:
        return False
    first, end = rows
    return 0 <= first <= end <= num_rows


def write_bank(path: str, features: Mapping[str, Mapping[int, np.ndarray]]) -> None:
    """Write video -> second -> (n, C) in half precision; the list of seconds is written last."""
    index: dict[str, dict[str, list[int]]] = {}
    parts, end = [], 0
    for video, seconds in features.items():
        for second, rows in seconds.items():
            index.setdefault(video, {})[str(second)] = [end, end + len(rows)]
            end += len(rows)
            parts.append(rows.astype(np.float16))
    with atomic_write(path) as stream:
        np.save(stream, np.concatenate(parts) if parts else np.zeros((0, 1), np.float16))
    with atomic_write(index_of(path), "w") as stream:
        json.dump(index, stream)
