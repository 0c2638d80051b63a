"""The interface of dashboards, and the thread that keeps a slow one from delaying training."""

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

Row = Mapping[str, float]  # `epoch`, `step`, then losses, scores and the like

MAX_WAITING = 10_000  # calls that a dashboard may lag behind; later rows are in metrics.jsonl only
FINISH_SECONDS = 150.0  # a run waits this long at its end for its dashboard


class Dashboard(Protocol):
    """Shows one run. Every method may raise or take its time."""

    place: str  # where to see the run, or the command that uploads it

    def log(self, row: Row) -> None:
        """A row of numbers; it has `epoch` and `step`."""

    def rewind(self, step: int, kept: Sequence[Row], validated: bool) -> None:
        """The run continues after `step`.

        kept: all rows up to there. validated: whether rows of `step` such as `val/top1` are among
        them; else those come again.
        """

    def pictures(self, name: str, paths: Sequence[Path], captions: Sequence[str]) -> None:
        """Picture files side by side under `name`; captions: one each, or none."""

    def video(self, name: str, path: Path) -> None:
        """A video file, mp4."""

    def finish(self, exit_code: int) -> None: ...


class Sender:
    """Calls a dashboard from a thread of its own, in order.

    The first failure is warned about; after it the dashboard is not called again.
    """

    def __init__(self, name: str, dashboard: Dashboard, warn: Callable[[str], None]) -> None:
        self.name = name
        self.warn = warn
        self._behind = False
        self._calls: queue.Queue[Callable[[Dashboard], None]] = queue.Queue(MAX_WAITING)
        # A daemon: the process must be able to end while a server does not answer.
        self._thread = threading.Thread(target=self._work, args=(dashboard,), daemon=True)
        self._thread.start()

    def send(self, call: Callable[[Dashboard], None]) -> None:
        """Queue a call; returns at once."""
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            if not self._behind:
                self.warn(f"{self.name} does not keep up; it will miss rows that metrics.jsonl has")
            self._behind = True

    def finish(self, exit_code: int) -> None:
        """Wait until the dashboard has processed the queue, for at most FINISH_SECONDS."""
        until = time.monotonic() + FINISH_SECONDS
        last = (lambda dashboard: dashboard.finish(exit_code)), _end
        with suppress(queue.Full):
            for call in last if self._thread.is_alive() else ():
                self._calls.put(call, timeout=max(until - time.monotonic(), 0))
        self._thread.join(max(until - time.monotonic(), 0))
        if self._thread.is_alive():
            self.warn(f"{self.name} did not finish in {FINISH_SECONDS:.0f} s; not waiting longer")

    def _work(self, dashboard: Dashboard) -> None:
        failed = False
        while (call := self._calls.get()) is not _end:
            try:
                if not failed:
                    call(dashboard)
            except Exception as error:
                self.warn(f"{self.name} failed, the run continues without it: {sentence(error)}")
                failed = True


def _end(dashboard: Dashboard) -> None:
    """Marks the end of the queue."""


def sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
