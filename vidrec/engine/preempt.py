"""Stopping early without losing work: Ctrl-C, SIGTERM, SIGUSR2."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)


class Interrupted(SystemExit):
    """The run was asked to stop and has saved its state; ends the process with 128 + the signal's
    number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number)


class Interrupt:
    """Notes a signal instead of dying from it, between `with` and its end; a second Ctrl-C dies at
    once.
    """

    def __init__(self) -> None:
        self.number = 0
        self._previous: dict[int, Callable[..., Any] | int | None] = {}

    def __enter__(self) -> Self:
        for number in WATCHED:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number
