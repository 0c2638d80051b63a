"""A loss that is not a number, and dashboards that cannot be reached."""

import json
import socket

import pytest

from tests.tracking.dashboards.wandb_file import read, read_finished
from tests.waiting import until

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


WANDB = ["runtime.dashboard=wandb", "runtime.wandb.group=g"]


def steps_in_wandb(folder, score):
    """The step of every row with `score` that offline runs of the folder have on disk."""
    return [row["step"] for run in read(folder) for row in run["rows"] if score in row]


def test_a_killed_run_continues_in_wandb_under_its_id(train, same):
    killed = train(*WANDB, fault="hold:7")
    # wandb's own process writes the rows out some time after it got them.
    until(lambda: steps_in_wandb(killed.folder, "train/loss") == [1, 2, 3, 4, 5, 6])
    killed.kill()
    killed.wait()
    again = train(*WANDB)
    assert again.wait() == 0, again.output
    assert "continuing after step 4" in again.output  # steps 5 and 6 are repeated
    same(again)
    runs = read_finished(again.folder, killed=1)
    assert len({run["run"].run_id for run in runs}) == 1
    assert [run["run"].run_group for run in runs] == ["g", "g"]
    assert steps_in_wandb(again.folder, "train/loss") == [1, 2, 3, 4, 5, 6, 7, 8]
    assert steps_in_wandb(again.folder, "val/top1") == [4, 8]
    rows = [row for run in runs for row in run["rows"]]
    assert {"lr", "grad_norm", "samples_per_second"} <= rows[0].keys()
    media = {name.removesuffix("._type") for row in rows for name in row if name.endswith("._type")}
    assert media == {"curves", "confusion", "predictions", "prediction_clips"}
    changes = runs[-1]["config"]["changes"]
    assert changes["schedule.epochs"] == "8 → 2"
    assert "schedule.lr.decay.T_max" not in changes  # follows from it
    assert runs[-1]["exit"] == 0


@pytest.mark.parametrize("step", [3, 6])
def test_killed_at_any_moment_a_run_repeats_no_row_in_wandb(train, same, step):
    """What is missing was noted as sent, and lost with wandb's own process."""
    killed = train(*WANDB, fault=f"hold:{step + 1}")
    killed.wait_for(f"[{step}/8]")
    killed.kill()
    killed.wait()
    noted = killed.folder / "wandb_sent.json"
    runs = json.loads(noted.read_text()) if noted.exists() else {}
    last_noted = runs.get((killed.folder / "wandb_id").read_text().strip(), {})
    again = train(*WANDB)
    assert again.wait() == 0, again.output
    same(again)
    read_finished(again.folder, killed=1)
    for score, kind, expected in (
        ("train/loss", "train", range(1, 9)),
        ("val/top1", "val", (4, 8)),
    ):
        steps = steps_in_wandb(again.folder, score)
        assert steps == sorted(set(steps))
        assert all(step <= last_noted.get(kind, 0) for step in set(expected) - set(steps))
