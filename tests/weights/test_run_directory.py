"""`run=DIR`: what a run was trained with comes from its checkpoint, and is not trusted."""

import pytest
import torch

from vidrec.weights.run_directory import overrides_of_run, with_run


@pytest.fixture
def folder(tmp_path):
    """`folder(overrides, names...)`: a run directory with checkpoints that hold these overrides."""

    def make(overrides, *names):
        for name in names or ("best.pt",):
            torch.save({"overrides": overrides, "net": {}}, tmp_path / name)
        return tmp_path

    return make


def test_the_overrides_of_the_best_checkpoint_are_repeated_and_the_command_line_wins(folder):
    stored = ["model=tsn", "++data.root='my videos'", "runtime.seed=3", "+data.cache=/x"]
    run = folder(stored)
    torch.save({"overrides": ["model=tsm"], "net": {}}, run / "last.pt")
    assert overrides_of_run(run, []) == (["model=tsn", "++data.root='my videos'"], [])
    expected = [
        "model=tsn", "data.root=other", "split=val", f"checkpoint='{run}/best.pt'", f"run='{run}'",
    ]  # fmt: skip
    assert with_run([f"run={run}", "data.root=other", "split=val"]) == (expected, [])
    # Written by an earlier program beside the checkpoint, or by a command that was rejected.
    (run / ".hydra").mkdir()
    (run / ".hydra" / "overrides.yaml").write_text("[model=trn]")
    assert overrides_of_run(run, []) == (["model=tsn", "++data.root='my videos'"], [])


def test_the_value_of_a_flag_replaces_nothing(folder):
    run = folder(["model=tsn", "schedule.epochs=2"])
    repeating, _ = with_run([f"run={run}", "--cfg", "job", "--package", "schedule.epochs"])
    assert "schedule.epochs=2" in repeating


def test_the_last_checkpoint_stands_in_for_the_best(folder):
    run = folder(["model=tsn"], "last.pt")
    assert f"checkpoint='{run}/last.pt'" in with_run([f"run={run}"])[0]
    assert f"checkpoint='{run}/last.pt'" not in with_run([f"run={run}", "checkpoint=mine.pt"])[0]


@pytest.mark.parametrize(
    "hostile", ["hydra.run.dir=/x", "++dump=/x", "out=/x", "data=../../x", "hydra/launcher=slurm"]
)
def test_a_choice_that_is_not_one_of_training_is_refused_by_name(folder, hostile):
    run = folder(["model=tsn", hostile])
    with pytest.raises(ValueError, match="which is not repeated") as stopped:
        with_run([f"run={run}"])
    assert str(stopped.value).startswith(f"{run}/best.pt asks for {hostile}, which is not")


@pytest.mark.parametrize("stored", [None, "model=tsn", [1], {"model": "tsn"}])
def test_a_checkpoint_that_does_not_say_how_it_was_trained_is_refused(folder, stored):
    run = folder(stored)
    with pytest.raises(
        ValueError, match=r"best\.pt does not say what it was trained with: pass ch"
    ):
        with_run([f"run={run}"])


def test_a_folder_without_a_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has neither best\.pt nor last\.pt"):
        with_run([f"run={tmp_path}"])
    with pytest.raises(
        FileNotFoundError, match=r"gone is not a run directory .*: there is no such folder"
    ):
        with_run([f"run={tmp_path / 'gone'}"])
