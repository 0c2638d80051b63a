"""A loss that is not a number, and dashboards that cannot be reached."""

import os
import signal
import socket
import time

import pytest

from tests.tracking.dashboards.wandb_file import read

pytestmark = pytest.mark.slow


def test_a_loss_that_is_not_a_number_ends_the_run_before_it_is_saved(train, same):
    broken = train(fault="nan:6")
    assert broken.wait() == 1
    assert "Traceback" not in broken.output
    assert broken.said().startswith("error: loss is nan at step 6; the last good state is ")
    assert "lower schedule.optimizer.lr" in broken.said()
    again = train()
    assert again.wait() == 0, again.output
    assert "continuing after step 4" in again.output
    same(again)


@pytest.mark.parametrize("server", ["refuses", "is silent"])
def test_without_a_wandb_server_nothing_but_the_upload_is_lost(train, same, server, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = 9 if server == "refuses" else silent.getsockname()[1]
        online = {"WANDB_API_KEY": "k" * 40, "WANDB_BASE_URL": f"http://127.0.0.1:{port}"}
        done = train("runtime.dashboard=wandb", environment=online)
        assert done.wait() == 0, done.output
    lines = [line for line in done.output.splitlines() if "warning" in line]
    assert len(lines) == 1
    assert "wandb did not start online, recording offline" in lines[0]
    assert "wandb: offline; `wandb sync" in done.output
    assert list(done.folder.glob("wandb/offline-run-*/*.wandb"))
    same(done)


def test_a_killed_run_goes_on_in_wandb_under_its_id_without_repeating_steps(train, same):
    killed = train("runtime.dashboard=wandb", "runtime.wandb.group=g")
    killed.wait_for("[7/8]")
    os.kill(killed.process.pid, signal.SIGSTOP)
    time.sleep(3)  # wandb's own process writes rows out a second later
    os.killpg(killed.process.pid, signal.SIGKILL)
    killed.wait()
    again = train("runtime.dashboard=wandb", "runtime.wandb.group=g")
    assert again.wait() == 0, again.output
    assert "continuing after step" in again.output
    same(again)
    runs = read(again.folder, wait=False)
    assert len({run["run"].run_id for run in runs}) == 1
    assert [run["run"].run_group for run in runs] == ["g", "g"]
    rows = [row for run in runs for row in run["rows"]]
    steps = [row["step"] for row in rows if "train/loss" in row]
    assert steps == sorted(set(steps))
    # A kill that takes wandb's own process too may take the rows that it had just been sent.
    assert set(range(1, 9)) - set(steps) <= {6, 7}
    assert [row["step"] for row in rows if "val/top1" in row] == [4, 8]
    assert {"lr", "grad_norm", "samples_per_second"} <= rows[0].keys()
    media = {name.removesuffix("._type") for row in rows for name in row if name.endswith("._type")}
    assert media == {"curves", "confusion", "predictions", "prediction_clips"}
    changes = runs[-1]["config"]["changes"]
    assert changes["schedule.epochs"] == "8 → 2"
    assert "schedule.lr.decay.T_max" not in changes  # follows from it
    assert read(again.folder)[-1]["exit"] == 0
