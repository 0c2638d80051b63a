"""What a command does to the run that is in its folder already: nothing, until it is accepted."""

import json

import pytest
import torch

from tests.engine.toy_run import Killed, Net, fit, kill_at, loss_fn, untimed
from tests.folders import content_of
from vidrec.tracking import status
from vidrec.tracking.record import RunRecord

OLD, NEW = RunRecord(["seed=0"], "seed: 0\n"), RunRecord(["seed=1"], "seed: 1\n")
NEVER = {"resume": "never", "seed": 1}


def killed_at(step):
    """A loss that ends the process at that step."""
    count = kill_at(step)

    def loss(outputs, batch):
        count()
        return loss_fn(outputs, batch)

    return loss


def log_of(folder):
    return untimed([json.loads(line) for line in (folder / "metrics.jsonl").open()])


@pytest.fixture
def run(tmp_path):
    """A finished run, and what its folder holds."""
    fit(tmp_path / "run", record=OLD)
    return tmp_path / "run"


@pytest.fixture
def undisturbed(tmp_path):
    return fit(tmp_path / "undisturbed", record=NEW, runtime={"seed": 1})


@pytest.mark.parametrize("step", [2, 11], ids=["before its first save", "after it"])
@pytest.mark.parametrize("again", [NEVER, {"seed": 1}], ids=["same command", "without never"])
def test_a_run_that_starts_over_and_is_killed_goes_on_with_itself(run, undisturbed, step, again):
    """Steps of an epoch: 4; a checkpoint is written at the end of each."""
    old = content_of(run)
    with pytest.raises(Killed):
        fit(run, record=NEW, runtime=NEVER, loss=killed_at(step))
    assert content_of(run.with_name("run.old1")) == old
    result = fit(run, record=NEW, runtime=again)
    assert log_of(run) == log_of(undisturbed.run.folder)
    for a, b in zip(result.net.parameters(), undisturbed.net.parameters(), strict=True):
        assert torch.equal(a, b)
    assert content_of(run.with_name("run.old1")) == old
    assert not run.with_name("run.old2").exists()


def test_a_finished_run_starts_over_each_time_it_is_asked_to(run):
    for number in (1, 2):
        fit(run, record=NEW, runtime=NEVER)
        assert run.with_name(f"run.old{number}").is_dir()


@pytest.mark.parametrize(
    "other",
    [
        {"schedule": {"batch_size": 4}},
        {"schedule": {"ema": 0.9}},
        {"runtime": {"resume": "gone.pt"}},
        {"net": Net(norm=True)},
    ],
    ids=["steps", "average", "checkpoint", "network"],
)
def test_a_rejected_command_leaves_the_run_as_it_was(run, other):
    before = content_of(run)
    with pytest.raises((ValueError, RuntimeError)):
        fit(run, record=NEW, **other)
    assert content_of(run) == before


def test_another_run_is_not_continued_over_the_one_in_the_folder(run, tmp_path):
    """But the command that began a run from a checkpoint elsewhere goes on with it."""
    before = content_of(run)
    source = str(
        fit(tmp_path / "source", record=OLD, runtime={"keep": 4}).run.folder / "epoch_2.pt"
    )
    with pytest.raises(ValueError, match="run holds another run, which would be lost"):
        fit(run, record=NEW, runtime={"resume": source})
    assert content_of(run) == before
    there = tmp_path / "there"
    with pytest.raises(Killed):
        fit(there, record=NEW, runtime={"resume": source}, loss=killed_at(6))
    (tmp_path / "source" / "epoch_2.pt").unlink()
    fit(there, record=NEW, runtime={"resume": source})
    assert [row["epoch"] for row in log_of(there) if "val/prob" in row] == [3, 4]


def test_what_a_finished_run_was_does_not_change_with_a_later_command(run):
    fit(run, record=NEW)
    assert (run / "config.yaml").read_text() == OLD.config
    assert status.read(run)["overrides"] == ["seed=0"]
    assert torch.load(run / "last.pt", weights_only=True)["overrides"] == ["seed=0"]
