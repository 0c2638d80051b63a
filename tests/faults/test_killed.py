"""Processes that are ended without a word, and those that are asked to stop."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
OFTEN = "runtime.save_every_minutes=0.01"


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_a_random_step_loses_nothing_but_time(train, same, seed):
    rng = random.Random(seed)
    killed = train(OFTEN, fault="hold:8")
    killed.wait_for(f"[{rng.randrange(1, 8)}/8]")
    time.sleep(rng.uniform(0, 0.05))  # to any place of the steps after it
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    again = train(OFTEN)
    assert again.wait() == 0, again.output
    same(again)


@pytest.mark.parametrize(("call", "number"), [("fsync", 2), ("replace", 2)])
def test_killed_inside_the_writing_of_a_checkpoint(train, same, call, number):
    """fsync: the bytes are written but not renamed; replace: best.pt and previous.pt are."""
    killed = train(fault=f"kill:{call}:{number}")
    assert killed.wait() == -signal.SIGKILL, killed.output
    assert (killed.folder / ".last.pt.part").exists()
    again = train()
    assert again.wait() == 0, again.output
    same(again)
    assert not list(killed.folder.glob(".*.part"))


@pytest.mark.parametrize("damage", ["cut", "empty"])
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(train, same, damage):
    killed = train(fault="hold:8")
    killed.wait_for("[7/8]")
    killed.kill()
    killed.wait()
    last: Path = killed.folder / "last.pt"
    os.truncate(last, last.stat().st_size // 2 if damage == "cut" else 0)
    again = train()
    assert again.wait() == 0, again.output
    line = next(line for line in again.output.splitlines() if "falling back" in line)
    assert "last.pt is damaged" in line
    assert line.endswith("previous.pt")
    same(again)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_saves_and_the_same_command_continues(train, same, number):
    stopped = train(fault="hold:4")
    stopped.wait_for("[3/8]")
    stopped.kill(number)
    assert stopped.wait() == 128 + number
    assert f"stopped by {number.name} in epoch 1" in stopped.said()
    assert stopped.said().endswith("the state is saved, the same command continues from here")
    again = train()
    assert again.wait() == 0, again.output
    assert "continuing after step" in again.output
    same(again)


def test_ctrl_c_before_the_first_step_ends_at_once(train):
    stopped = train(fault="hold:8")
    stopped.wait_for("run directory: ")
    stopped.kill(signal.SIGINT)
    assert stopped.wait() in (130, -signal.SIGINT)


def test_a_killed_loader_worker_ends_the_run_with_a_sentence(train, same, tmp_path):
    broken = train("runtime.num_workers=2", fault="hold:3")
    broken.wait_for("[2/8]")
    pid = broken.process.pid
    workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(int(workers[0]), signal.SIGKILL)
    (tmp_path / "go").touch()
    assert broken.wait() == 1
    assert "Traceback" not in broken.output
    assert broken.said().startswith("error: DataLoader worker (pid")
    assert broken.said().endswith("lower runtime.num_workers, the same command resumes the run")
    again = train("runtime.num_workers=2")
    assert again.wait() == 0, again.output
    same(again)
