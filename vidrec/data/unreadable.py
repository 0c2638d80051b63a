"""Videos that cannot be read: replaced or skipped, and counted, so that none is lost silently."""

from collections.abc import Iterable, Mapping
from typing import Protocol, TypedDict, TypeVar, cast, final

import numpy as np

from vidrec.data.video.decoder import VideoError

# This many unreadable videos in a row mean that the storage is gone, not that a file is broken.
MAX_REPLACEMENTS = 100

Sample_co = TypeVar("Sample_co", bound=Mapping[str, object], covariant=True)


@final
class Skipped(TypedDict):
    """What is left of a sample that `on_bad_video=skip` drops, or of a batch of such samples."""

    bad_videos: list[tuple[str, str]]  # (path, reason)


class BadVideos:
    """The unreadable videos of one dataset on one rank: each reported once, fatal past a limit."""

    def __init__(self, num_samples: int, max_fraction: float) -> None:
        """Allow `max_fraction` of `num_samples` videos to be unreadable."""
        self.limit = int(num_samples * max_fraction)
        self.max_fraction = max_fraction
        self.reasons: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.reasons)

    def add(self, entries: Iterable[tuple[str, str]]) -> list[str]:
        """Count `(path, reason)` entries and return a line for each file not seen before.

        Raises RuntimeError past the limit.
        """
        new = {path: reason for path, reason in entries if path not in self.reasons}
        self.reasons |= new
        if len(self) > self.limit:
            path, reason = next(iter(new.items()), next(iter(self.reasons.items())))
            raise RuntimeError(
                f"{len(self)} unreadable videos are more than the {self.limit} that "
                f"data.max_bad_fraction={self.max_fraction} allows; the last is {path}: {reason}. "
                "Repair the files, remove them from the list, or raise data.max_bad_fraction"
            )
        return [f"unreadable video {path}: {reason}" for path, reason in new.items()]


class Readable(Protocol[Sample_co]):
    """A dataset whose samples are read from files."""

    on_bad_video: str  # raise, skip or replace

    def __len__(self) -> int: ...
    def path(self, index: int) -> str: ...
    def load(self, index: int, rng: np.random.Generator) -> Sample_co: ...


def read_or_replace(
    dataset: Readable[Sample_co], index: int, rng: np.random.Generator
) -> Sample_co | Skipped:
    """The sample of `index`, or what `on_bad_video` asks for if its file cannot be read.

    `bad_videos` of the sample lists (path, reason) of every file that could not be read.
    """
    bad: list[tuple[str, str]] = []
    while True:
        try:
            sample = dataset.load(index, rng)
            break
        except VideoError as error:
            if dataset.on_bad_video == "raise" or len(bad) >= MAX_REPLACEMENTS:
                raise
            path = dataset.path(index)
            bad.append((path, str(error).removeprefix(f"{path}: ")))
            if dataset.on_bad_video == "skip":
                return {"bad_videos": bad}
            index = int(rng.integers(len(dataset)))
    return cast(Sample_co, {**sample, "bad_videos": bad}) if bad else sample
