"""Counting the videos that could not be read, so that none is lost silently."""

from collections.abc import Iterable


class BadVideos:
    """The unreadable videos of one dataset on one rank: each named once, fatal past a limit."""

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
                "Repair the files, take them out of the list, or raise data.max_bad_fraction"
            )
        return [f"unreadable video {path}: {reason}" for path, reason in new.items()]
