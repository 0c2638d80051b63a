"""The log of a run: console, train.log, metrics.jsonl, a dashboard.

Rank 0 logs; on the other ranks every method may be called and does nothing.
"""

import fcntl
import itertools
import json
import logging
import math
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from logging.handlers import MemoryHandler
from pathlib import Path
from types import TracebackType
from typing import IO

import yaml

from vidrec.config.schema import DashboardName, RuntimeConf
from vidrec.files.atomic_write import atomic_write
from vidrec.files.metrics_rows import read_metrics
from vidrec.progress import ProgressBar, print_above
from vidrec.tracking import status
from vidrec.tracking.console import console_line
from vidrec.tracking.dashboards import tensorboard, wandb
from vidrec.tracking.dashboards.sender import Dashboard, Row, Sender
from vidrec.tracking.record import RunRecord

LOCK = "run.lock"
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class RunLocked(RuntimeError):
    """Another process is using the run directory."""


class Run:
    """The run in `folder`: its lock, its logs, its dashboard.

    Until `accept` it only holds the lock and shows messages, so that a command that is rejected
    leaves a run that is there as it was, and an empty folder of its own. From then on it writes
    `metrics.jsonl` (one object per line: `epoch`, `step`, names such as `train/loss` and
    `val/top1`), `train.log`, `config.yaml` (resolved), `changes.yaml`, `status.json` and files of
    the dashboard.

    rank: of this process. Raises RunLocked if another process uses `folder`, OSError if it cannot
    be written.
    """

    def __init__(
        self, folder: Path, rank: int, runtime: RuntimeConf, record: RunRecord | None = None
    ) -> None:
        self.folder = folder
        self.rank = rank
        self.record = record or RunRecord()
        self.accepted = False
        self._runtime = runtime
        self._num_epochs: int | None = None
        self._num_steps: int | None = None
        self._dashboard: Sender | None = None
        self._open = rank == 0
        if not self._open:
            return
        self._is_new = not (folder / LOCK).exists()
        self._lock = _locked_folder(folder)
        self._bar = ProgressBar(runtime.progress)
        self._log = _open_log()

    def accept(self, *, aside: bool = False, is_finished: bool = False, **facts: object) -> None:
        """Begin to write: nothing is left that could reject the command.

        aside: the run that is in the folder first moves to a folder of its own beside it.
        is_finished: nothing will be trained, so what the run is does not change. facts: of the
        run's status.
        """
        if not self._open:
            return
        if aside and self.holds_a_run():
            self._move_aside()
        if not is_finished:
            self.record.write(self.folder)
            facts["overrides"] = list(self.record.overrides)
        _write_log(self._log, self.folder / "train.log")
        self._metrics = MetricsFile(self.folder / "metrics.jsonl", self.warn)
        status.write(self.folder, "running", **facts)
        self._dashboard = self._start_dashboard()
        self.accepted = True

    def holds_a_run(self) -> bool:
        """Whether there is a run in the folder, of this command or of another."""
        names = ("config.yaml", "metrics.jsonl", "last.pt", "best.pt")
        return any((self.folder / name).exists() for name in names)

    def _move_aside(self) -> None:
        """Rename the folder, in one step, and go on in a new one."""
        folder = self.folder.resolve()
        if Path.cwd().is_relative_to(folder):
            raise ValueError(
                f"{self.folder} holds a run and other things: runtime.resume=never cannot put it "
                "aside; choose another folder with hydra.run.dir=..."
            )
        names = (f"{folder.name}.old{number}" for number in itertools.count(1))
        old = next(path for name in names if not (path := folder.with_name(name)).exists())
        folder.rename(old)
        before, self._lock = self._lock, _locked_folder(self.folder)
        before.close()
        self.info(f"the run that was in {self.folder} is now in {old}")

    def begin(self, num_epochs: int, num_steps: int) -> None:
        """Set how many epochs and optimizer steps the whole run has, for the console."""
        self._num_epochs, self._num_steps = num_epochs, num_steps

    def log(self, row: Row, *, epoch: float, step: int) -> None:
        """Record a row of numbers in metrics.jsonl, on the console and in the dashboard.

        epoch: counted from 1; step: optimizer steps done since the start of the run.
        """
        if not self._open:
            return
        full = {"epoch": epoch, "step": step, **row}
        self._metrics.write(full)
        self.info(console_line(row, epoch, step, self._num_epochs, self._num_steps))
        self._show(lambda dashboard: dashboard.log(full))

    def rewind(self, step: int, *, validated: bool = True) -> None:
        """Drop the rows that a run resumed after `step` writes again; 0 drops all.

        validated: whether a validation that follows `step` is over; else its row is dropped too.
        """
        if self._open:
            kept = self._metrics.rewind(step, validated)
            self._show(lambda dashboard: dashboard.rewind(step, kept, validated))

    def info(self, text: str) -> None:
        if self._open:
            self._log.info(text)

    def warn(self, text: str, *, every_rank: bool = False) -> None:
        """Warn on rank 0; with `every_rank`, for what only one rank knows, on the calling rank."""
        if self._open:
            self._log.warning(text)
        elif every_rank:
            print(f"rank {self.rank}: warning: {text}", file=sys.stderr, flush=True)

    def progress(self, done: int, total: int, label: str = "evaluating") -> None:
        """Move the progress bar at the bottom of a terminal; does nothing elsewhere."""
        if self._open:
            self._bar.show(done, total, label)

    def picture(self, name: str, *paths: Path, captions: Sequence[str] = ()) -> None:
        """Show picture files in the dashboard side by side under `name`; captions: one each."""
        if self._open:
            self._show(lambda dashboard: dashboard.pictures(name, paths, captions))

    def video(self, name: str, path: Path) -> None:
        """Show an mp4 file in the dashboard under `name`."""
        if self._open:
            self._show(lambda dashboard: dashboard.video(name, path))

    def finish(self, exit_code: int = 0) -> None:
        """Close everything; an exception that is being raised is written to train.log too."""
        if not self._open:
            return
        self._open = False
        self._bar.close()
        if self._dashboard:
            self._dashboard.finish(exit_code)
        if self.accepted:
            self._metrics.close()
        _close_log(self._log, sys.exc_info() if exit_code else None)
        if self._is_new and not self.accepted:
            (self.folder / LOCK).unlink(missing_ok=True)
        self._lock.close()

    def _show(self, call: Callable[[Dashboard], None]) -> None:
        if self._dashboard:
            self._dashboard.send(call)

    def _start_dashboard(self) -> Sender | None:
        runtime, record = self._runtime, self.record
        config: dict[str, object] = yaml.safe_load(record.config) or {}
        if record.changes:
            config["changes"] = {
                k: f"{there} → {here}" for k, (there, here) in record.changes.items()
            }
        name = DashboardName(runtime.dashboard)
        dashboard: Dashboard | None = None
        if name is DashboardName.wandb:
            dashboard = wandb.start(self.folder, runtime.wandb, config, self.warn)
        elif name is DashboardName.tensorboard:
            dashboard = tensorboard.start(self.folder, config, record.config, self.warn)
        if dashboard is None:
            return None
        self.info(f"{name}: {dashboard.place}")
        return Sender(name, dashboard, self.warn)


class MetricsFile:
    """metrics.jsonl, appended line by line.

    On opening, an unfinished last line is dropped, and damaged ones are moved to `DAMAGED` beside
    the file.

    warn: called with a sentence if there are damaged lines.
    """

    DAMAGED = "metrics.jsonl.damaged"

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self.path = path
        self._repair(warn)
        self._stream = path.open("a", encoding="utf-8")

    def write(self, row: Row) -> None:
        """Append one object. Values that JSON lacks (NaN, infinity) become null."""
        plain = {
            name: value.item() if hasattr(value, "item") else value for name, value in row.items()
        }
        finite = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in plain.items()
        }
        try:
            self._stream.write(json.dumps(finite) + "\n")
            self._stream.flush()
        except OSError as error:
            raise OSError(f"{self.path} could not be written: {error.strerror}") from error

    def rewind(self, step: int, validated: bool = True) -> list[Row]:
        """Drop the rows after `step`, in one atomic replacement of the file.

        Returns the remaining rows, without their values that were not finite.

        If `step` is not validated yet, its own rows with names such as `val/top1` are dropped too.
        """

        def stays(row: Row) -> bool:
            is_score = any(name.startswith("val/") for name in row)
            is_last = row["step"] == step
            return row["step"] < step or (is_last and (validated or not is_score))

        self._stream.close()
        rows = read_metrics(self.path).rows
        kept = [(line, row) for line, row in rows if stays(row)]
        if len(kept) < len(rows):
            self._replace([line for line, _ in kept])
        self._stream = self.path.open("a", encoding="utf-8")
        return [row for _, row in kept]

    def close(self) -> None:
        with suppress(OSError):  # the buffer of a row that `write` failed to write
            self._stream.close()

    def _repair(self, warn: Callable[[str], None]) -> None:
        rows, damaged = read_metrics(self.path)
        if damaged:
            aside = self.path.with_name(self.DAMAGED)
            with aside.open("ab") as stream:
                stream.writelines(line + b"\n" for _, line in damaged)
            warn(
                f"{self.path}: {len(damaged)} damaged lines, the first is line {damaged[0][0]}; "
                f"they are now in {aside.name}, the run goes on without these rows"
            )
        lines = [line for line, _ in rows]
        if self.path.is_file() and self.path.read_bytes() != _joined(lines):
            self._replace(lines)

    def _replace(self, lines: Sequence[bytes]) -> None:
        with atomic_write(self.path) as stream:
            stream.write(_joined(lines))


def _joined(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


class _Lines(logging.Formatter):
    """Plain lines; warnings and errors name their level."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.levelno <= logging.INFO:
            return text
        return text.replace(record.message, f"{record.levelname.lower()}: {record.message}", 1)


class _Console(logging.Handler):
    """Standard output as it is at the time of the message, above the progress bar."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(_Lines("%(asctime)s %(message)s", "%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print_above(self.format(record))
        except Exception:
            self.handleError(record)


def _open_log() -> logging.Logger:
    """The logger of the package, writing to the console and keeping its lines for a file."""
    log = logging.getLogger("vidrec")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(_Console())
    log.addHandler(MemoryHandler(10_000, flushLevel=logging.CRITICAL, flushOnClose=False))
    return log


def _write_log(log: logging.Logger, path: Path) -> None:
    """Write the lines so far and those to come to `path` too."""
    file = logging.FileHandler(path, encoding="utf-8")
    file.setFormatter(_Lines("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    (kept,) = (handler for handler in log.handlers if isinstance(handler, MemoryHandler))
    kept.setTarget(file)
    kept.flush()
    kept.close()
    log.removeHandler(kept)
    log.addHandler(file)


def _close_log(log: logging.Logger, error: ExcInfo | None) -> None:
    """Detach the handlers; `error` is written to the file only, because Python prints it."""
    for handler in list(log.handlers):
        if isinstance(handler, logging.FileHandler) and error and error[0]:
            handler.handle(
                log.makeRecord(log.name, logging.ERROR, "", 0, "the run stopped", (), error)
            )
        log.removeHandler(handler)
        handler.close()
    log.propagate = True


def _locked_folder(folder: Path) -> IO[str]:
    """Create `folder` and hold its lock, which is gone with the process, however that ends.

    Raises RunLocked if another process holds it.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            stream = (folder / LOCK).open("a+", encoding="utf-8", errors="replace")
        except FileNotFoundError:  # a rejected command has just removed its own folder
            continue
        _lock(stream, folder)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(folder / LOCK), os.fstat(stream.fileno())):
                return stream
        stream.close()  # removed before it was locked


def _lock(stream: IO[str], folder: Path) -> None:
    """Lock an open file. Raises RunLocked if another process holds it.

    A record lock (lockf), because forked loader workers that outlive a killed run do not hold it.
    """
    try:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        stream.seek(0)
        holder = stream.read().strip() or "another process"
        stream.close()
        raise RunLocked(
            f"{folder} is in use by {holder}; wait for it, end it, "
            "or choose another folder with hydra.run.dir=..."
        ) from None
    except OSError as error:  # a file system without locks
        print(f"warning: {folder / LOCK} cannot be locked: {error}", file=sys.stderr, flush=True)
    stream.truncate(0)
    stream.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    stream.flush()
