import io
import re
import sys

import pytest

from vidrec.config.schema import DashboardName, RuntimeConf
from vidrec.progress import ProgressBar, print_above, track
from vidrec.tracking.run import Run


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def lines(self):
        """The lines that a terminal shows after all that was written."""
        lines = []
        for line in self.getvalue().split("\n"):
            shown = ""
            for piece in line.split("\r"):
                shown = piece + shown[len(piece) :]
            lines.append(shown.rstrip())
        return lines


@pytest.fixture
def terminal(monkeypatch):
    """Put standard output and standard error on one terminal; called in the test itself, because
    pytest replaces both between fixtures and test.
    """

    def start():
        screen = Terminal()
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.setattr(sys, "stderr", screen)
        return screen

    return start


def test_nothing_is_drawn_outside_a_terminal_or_when_switched_off(capsys, monkeypatch):
    ProgressBar().show(1, 10, "epoch 1")
    assert list(track(range(3), "videos")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys, "stderr", Terminal())
    ProgressBar(False).show(1, 10, "epoch 1")
    assert list(track(range(3), "videos", enabled=False)) == [0, 1, 2]
    assert sys.stderr.getvalue() == ""


def test_a_bar_shows_label_and_count_and_a_full_one_disappears(terminal):
    screen = terminal()
    bar = ProgressBar()
    bar.show(3, 10, "epoch 1")
    assert re.match(r"epoch 1: +30%.* 3/10 ", screen.lines()[-1])
    bar.show(10, 10, "epoch 1")
    assert screen.lines() == [""]
    bar.show(1, 4, "validating")
    assert re.match(r"validating: +25%.* 1/4 ", screen.lines()[-1])
    bar.close()
    assert screen.lines() == [""]


def test_a_loop_leaves_no_bar_behind(terminal):
    screen = terminal()
    for number in track([10, 20], "videos"):
        assert re.match(r"videos: .*/2 ", screen.lines()[-1]), number
    assert screen.lines() == [""]


def test_lines_appear_above_the_bar(terminal, tmp_path):
    screen = terminal()
    run = Run(tmp_path / "run", 0, RuntimeConf(dashboard=DashboardName.none))
    run.accept()
    run.progress(1, 10, "epoch 1")
    run.info("hello")
    first, bar = screen.lines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d hello", first)
    assert bar.startswith("epoch 1:")
    print_above("more")
    assert screen.lines()[1] == "more"
    assert screen.lines()[2].startswith("epoch 1:")
    run.finish()
    assert screen.lines() == [first, "more", ""]
