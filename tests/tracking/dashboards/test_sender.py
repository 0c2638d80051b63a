"""A dashboard that fails, hangs or is slow costs the training nothing but a warning."""

import threading

import pytest

from tests.waiting import LIMIT
from vidrec.tracking.dashboards import sender
from vidrec.tracking.dashboards.sender import Sender


class Board:
    """Notes what it hears; `broken` names the method that fails."""

    place = "here"

    def __init__(self, broken=None, wait=None):
        self.broken, self.wait = broken, wait
        self.heard = []

    def _hear(self, name, *what):
        if self.wait:
            assert self.wait.wait(LIMIT)
        if name == self.broken:
            raise ConnectionError(f"{name} failed\nwith many lines")
        self.heard.append((name, *what))

    def log(self, row):
        self._hear("log", row["step"])

    def finish(self, exit_code):
        self._hear("finish", exit_code)


def log(sender, step):
    sender.send(lambda board: board.log({"step": step}))


def test_everything_arrives_in_order_before_finish_returns():
    board, warnings = Board(), []
    send = Sender("board", board, warnings.append)
    for step in range(200):
        log(send, step)
    send.finish(3)
    assert board.heard == [*(("log", step) for step in range(200)), ("finish", 3)]
    assert warnings == []


@pytest.mark.parametrize("broken", ["log", "finish"])
def test_the_first_failure_is_warned_about_once(broken):
    warnings = []
    send = Sender("wandb", Board(broken), warnings.append)
    for step in range(3):
        log(send, step)
    send.finish(0)
    send.finish(0)
    assert warnings == [
        f"wandb failed, the run continues without it: ConnectionError: {broken} failed"
    ]


def test_a_dashboard_that_hangs_delays_no_row_and_the_end_only_for_a_while(monkeypatch):
    monkeypatch.setattr(sender, "FINISH_SECONDS", 0.2)
    monkeypatch.setattr(sender, "MAX_WAITING", 10)
    released, warnings = threading.Event(), []
    board = Board(wait=released)
    send = Sender("wandb", board, warnings.append)
    for step in range(1000):
        log(send, step)
    send.finish(0)
    assert board.heard == []  # it still hangs
    assert warnings == [
        "wandb does not keep up; it will miss rows that metrics.jsonl has",
        "wandb did not finish in 0 s; not waiting longer",
    ]
    released.set()


def test_a_slow_dashboard_still_hears_its_end(monkeypatch):
    monkeypatch.setattr(sender, "MAX_WAITING", 5)
    released, warnings = threading.Event(), []
    board = Board(wait=released)
    send = Sender("wandb", board, warnings.append)
    for step in range(20):
        log(send, step)
    threading.Timer(0.3, released.set).start()
    send.finish(0)
    assert board.heard[-1] == ("finish", 0)
