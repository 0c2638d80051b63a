"""Ranks notice that another one is gone."""

import os
import re
import signal

import pytest

from tests.engine.test_distributed import finish, start_ranks
from tests.waiting import LIMIT

RANK = """
import sys, time
from vidrec.engine import distributed
from vidrec.engine.heartbeat import Heartbeat
dist = distributed.start("cpu", 10.0)
tell = lambda which: print("lost", which, flush=True)
heartbeat = Heartbeat(dist, tell, interval=0.1, silence={silence}, grace={grace})
print("ready", flush=True)
{then}
"""

pytestmark = [pytest.mark.slow, pytest.mark.alone]  # a rank that gets no time counts as lost


def ranks(then, silence=LIMIT, grace=0.1, world=3):
    processes = start_ranks(["-c", RANK.format(silence=silence, grace=grace, then=then)], world)
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    return processes


def outputs(processes):
    codes, errors = [], []
    for process in processes:
        output, error = process.communicate(timeout=LIMIT)
        codes.append(process.returncode)
        errors.append(output + error)
    return codes, errors


def test_a_killed_rank_ends_the_others_at_once():
    processes = ranks(f"time.sleep({LIMIT})")
    processes[1].kill()
    codes, texts = outputs(processes)
    assert codes == [4, -9, 4]
    # Not by their silence.
    assert re.search("lost rank 1 on .* has ended", texts[0])
    assert re.search("lost rank 0 on .* has ended", texts[2])  # rank 0 told it by ending


def test_a_silent_rank_counts_as_lost():
    # Rank 1 must not run out of patience first while both start.
    silence = f"2.0 if dist.rank == 0 else {LIMIT}"
    processes = ranks(f"time.sleep({LIMIT})", silence=silence, world=2)
    os.kill(processes[1].pid, signal.SIGSTOP)
    try:
        assert processes[0].wait(LIMIT) == 4
        assert "has been silent for 2 s" in processes[0].stdout.read()
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
    codes, texts = outputs(ranks(then, grace=LIMIT, world=2))
    assert codes == [1, 1], texts
    assert all("my own reason" in text for text in texts)
