"""How key frames are named in files, `VIDEO,0902`, and found by video and time.

Programs write times with more or fewer decimals and add steps that are not exact in binary: times
of one key frame match within half a millisecond wherever two files meet.
"""

import math
from collections.abc import Iterable

EXCLUDED = -1  # in place of the row of a key frame that does not count
SAME_MOMENT = 0.0005  # by which the times of one key frame may differ
MAX_TIME = 1e9  # seconds, or number of a frame
MAX_NAME = 1000  # characters of a video's name: arrays of names are as wide as the longest one
_SLACK = SAME_MOMENT + 1e-6  # times are written with six decimals


def key(video: str, timestamp: float) -> str:
    """`VIDEO,0902`: whole timestamps have four digits, others up to six decimals.

    >>> key("1j20qq1JyX4", 902.0), key("v", 3 * 0.1)
    ('1j20qq1JyX4,0902', 'v,0.3')
    """
    timestamp = round(timestamp, 6)
    if timestamp == int(timestamp):
        return f"{video},{int(timestamp):04d}"
    return f"{video},{timestamp:.6f}".rstrip("0")


def parse_key(name: str) -> tuple[str, float] | None:
    """(video, timestamp) of `VIDEO,0902`, with any number of digits; None for other names.

    >>> parse_key("1j20qq1JyX4,0902")
    ('1j20qq1JyX4', 902.0)
    """
    video, _, timestamp = name.rpartition(",")
    try:
        return read_moment(video, timestamp)
    except ValueError:
        return None


def read_moment(video: object, timestamp: object) -> tuple[str, float]:
    """(video, timestamp) as they are written in a file. Raises ValueError if they are not.

    >>> read_moment("1j20qq1JyX4", "0902")
    ('1j20qq1JyX4', 902.0)
    """
    name = str(video).strip() if isinstance(video, str | int) else ""
    moment = number_of(timestamp)
    # A line break: a stray quote has hidden the end of the line.
    if not 0 < len(name) <= MAX_NAME or "\n" in name or not abs(moment) <= MAX_TIME:
        raise ValueError(f"{video!r}, {timestamp!r}")
    return name, moment


def number_of(value: object) -> float:
    """A number as JSON or a csv has it. Raises ValueError if it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def second_of(timestamp: float) -> int:
    """The whole second that a moment lies in.

    >>> second_of(902.9), second_of(902.9999)
    (902, 903)
    """
    return math.floor(timestamp + _SLACK)


class KeyFrameNumbers:
    """Numbers key frames from 0 in the order in which they are added.

    >>> numbers = KeyFrameNumbers([("v", 0.3), ("v", 1.0)])
    >>> numbers.find("v", 0.30000000000000004), numbers.find("v", 0.4)
    (0, None)
    """

    def __init__(self, frames: Iterable[tuple[str, float]] = ()) -> None:
        self.frames: list[tuple[str, float]] = []
        self._known: dict[tuple[str, float], int] = {}  # exactly as they were asked for
        self._near: dict[tuple[str, int], list[int]] = {}  # by millisecond
        for frame in frames:
            self.add(*frame)

    def __len__(self) -> int:
        return len(self.frames)

    def find(self, video: str, timestamp: float) -> int | None:
        """The number of a key frame, the nearest if several match; None if it is not known."""
        known = self._known.get((video, timestamp))
        if known is not None:
            return known
        cell = math.floor(timestamp * 1000)
        near = [
            (abs(self.frames[i][1] - timestamp), i)
            for beside in (cell - 1, cell, cell + 1)
            for i in self._near.get((video, beside), ())
        ]
        distance, number = min(near, default=(math.inf, -1))
        return number if distance <= _SLACK else None

    def add(self, video: str, timestamp: float) -> int:
        """The number of a key frame, which is the next one if it is not known yet."""
        number = self.find(video, timestamp)
        if number is None:
            number = len(self.frames)
            self.frames.append((video, timestamp))
            self._near.setdefault((video, math.floor(timestamp * 1000)), []).append(number)
        self._known[video, timestamp] = number
        return number
