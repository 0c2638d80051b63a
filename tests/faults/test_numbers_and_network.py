"""A loss that is not a number, and dashboards that cannot be reached."""

import socket

import pytest

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
