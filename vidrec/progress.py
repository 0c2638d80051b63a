"""The progress bar of everything that takes long: on a terminal only, never in a log file."""

import sys
from collections.abc import Iterable
from typing import TextIO, TypeVar

from tqdm import tqdm

T = TypeVar("T")


class ProgressBar:
    """One bar for several phases in turn, drawn from counts that are reported as they come."""

    def __init__(self, enabled: bool = True) -> None:
        self._enabled = enabled and sys.stderr.isatty()
        self._bar: tqdm | None = None
        self._label = ""

    def show(self, done: int, total: int, label: str) -> None:
        """Report `done` of `total`. Another label starts a new bar; a full bar disappears."""
        if not self._enabled:
            return
        if self._bar is None or label != self._label or done < self._bar.n:
            self.close()
            self._label = label
            self._bar = tqdm(
                total=total, initial=done, desc=label, leave=False, dynamic_ncols=True, miniters=1
            )
        self._bar.update(done - self._bar.n)
        if done >= total:
            self.close()

    def close(self) -> None:
        """Remove the bar from the terminal."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def track(items: Iterable[T], label: str, enabled: bool = True) -> Iterable[T]:
    """The items themselves, with a bar while they are consumed. Their number is `len(items)`."""
    disable = None if enabled else True  # None: disabled unless stderr is a terminal
    return tqdm(items, desc=label, leave=False, dynamic_ncols=True, disable=disable)


def print_above(text: str, stream: TextIO | None = None) -> None:
    """Print a line above any bar that is being drawn; by default to standard output."""
    with tqdm.external_write_mode():
        print(text, flush=True, file=stream)
