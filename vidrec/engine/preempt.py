"""Stopping early without losing work, on Ctrl-C, SIGTERM or SIGUSR2, and requeueing in Slurm."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

# How long a task that has saved its state waits for Slurm to end it.
SECONDS_TO_THE_END = 300
WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)


class Interrupted(SystemExit):
    """The run was asked to stop and has saved its state; ends the process with 128 + the signal's
    number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number)


class Interrupt:
    """Inside its `with` block, signals are noted instead of ending the process. A second Ctrl-C
    ends it at once.

    number: of the signal; 0 if there was none.
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


def in_slurm_job() -> bool:
    """Whether `srun` started this process (a shell inside an allocation does not count)."""
    return "SLURM_JOB_ID" in os.environ and "SLURM_STEP_ID" in os.environ


def give_back(number: int) -> None:
    """Leave a Slurm job that was asked to stop so that it is queued again, with all its tasks.

    On SIGUSR2 (a time limit is near, or the job is preempted) this requeues it; on SIGTERM Slurm
    decides, because the job may have been cancelled. Either way the task waits to be ended: one
    that exits early would end the job for good. Outside of Slurm, and on Ctrl-C, returns at once.
    """
    if not in_slurm_job() or number == signal.SIGINT:
        return
    job = os.environ["SLURM_JOB_ID"]
    if number == signal.SIGUSR2 and os.environ.get("SLURM_PROCID") == "0":
        problem = _requeue(job)
        said = "is queued again"
        if problem:
            said = (
                f"could not be queued again: {problem}; the state is saved, the same command "
                f"resumes from it, as does `scontrol requeue {job}` outside of a container"
            )
        print(f"job {job} {said}", file=sys.stderr, flush=True)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(SECONDS_TO_THE_END)


def _requeue(job: str) -> str:
    """Queue a Slurm job again; returns what went wrong, or nothing."""
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True)
    except OSError as error:  # containers lack the program
        return f"scontrol: {error.strerror}"
    return done.stderr.strip() or "scontrol failed" if done.returncode else ""


def requeue_before_training() -> None:
    """Let SIGUSR2 requeue the job until the training loop handles it: there is nothing to save yet.

    By default the signal would end the job for good.
    """
    if in_slurm_job():
        signal.signal(signal.SIGUSR2, lambda number, _: give_back(number))
