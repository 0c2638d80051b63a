"""Ranks notice that another one is gone."""

import os
import signal
import time

import pytest

from tests.engine.test_distributed import finish, start_ranks

RANK = """
import sys, time
from vidrec.engine import distributed
from vidrec.engine.heartbeat import Heartbeat
dist = distributed.start("cpu", 1.0)
tell = lambda which: print("lost", which, flush=True)
heartbeat = Heartbeat(dist, tell, interval=0.1, silence={silence}, grace={grace})
print("ready", flush=True)
{then}
"""

pytestmark = [pytest.mark.slow, pytest.mark.alone]  # a rank that gets no time counts as lost


def ranks(then, silence=30.0, grace=0.1, world=3):
    processes = start_ranks(["-c", RANK.format(silence=silence, grace=grace, then=then)], world)
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    return processes


def outputs(processes):
    codes, errors = [], []
    for process in processes:
        output, error = process.communicate(timeout=60)
        codes.append(process.returncode)
        errors.append(output + error)
    return codes, errors


def test_a_killed_rank_ends_the_others_at_once():
    processes = ranks("time.sleep(60)")
    started = time.monotonic()
    processes[1].kill()
    codes, texts = outputs(processes)
    assert time.monotonic() - started < 50  # they would sleep for 60 s
    assert codes == [4, -9, 4]
    assert "lost rank 1 on" in texts[0]
    assert "lost rank 0 on" in texts[2]  # which told the others by ending


def test_a_silent_rank_counts_as_lost():
    processes = ranks("time.sleep(60)", silence=1.0, world=2)
    os.kill(processes[1].pid, signal.SIGSTOP)
    try:
        assert processes[0].wait(30) == 4
        assert "has been silent for 1 s" in processes[0].stdout.read()
    finally:
        processes[1].kill()
        finish(processes)


def test_ranks_that_say_goodbye_are_not_missed():
    then = "time.sleep(0.3 * dist.rank); heartbeat.stop(clean=True); time.sleep(1); dist.stop()"
    codes, texts = outputs(ranks(then))
    assert codes == [0, 0, 0], texts
    assert not any("lost" in text for text in texts)


def test_an_error_of_its_own_comes_before_the_news_of_the_other():
    """Both ranks fail, one a little later: each ends with its own message."""
    then = "time.sleep(0.5 * dist.rank); heartbeat.stop(clean=False); sys.exit('my own reason')"
    codes, texts = outputs(ranks(then, grace=20.0, world=2))
    assert codes == [1, 1], texts
    assert all("my own reason" in text for text in texts)
