"""Commands that are rejected: what they leave behind."""

import os

import pytest
import torch

from tests.folders import content_of
from vidrec.cli import COMMANDS
from vidrec.config import schema


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong",
    [
        "schedule.epocs=1",
        "data.train.records.path=gone.txt",
        "model.net.backbone._target_=gone.Net",
    ],
)
def test_a_rejected_command_leaves_no_directory(run, tmp_path, wrong):
    status, said = run("-m", "vidrec", "train", wrong, "runtime.dashboard=none", cwd=tmp_path)
    assert status == 1
    assert "Traceback" not in said
    assert wrong.partition("=")[2] in said or "did you mean 'epochs'" in said
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_run_is_evaluated_as_it_was_trained_whatever_was_rejected_since(run, tiny_run):
    before = content_of(tiny_run)
    evaluate = ["-m", "vidrec", "evaluate", f"run={tiny_run}", "split=val"]
    status, scores = run(*evaluate, cwd=tiny_run.parent)
    assert status == 0, scores
    other = ["model=tsm_tiny", f"hydra.run.dir={tiny_run}", "runtime.dashboard=none"]
    status, said = run("-m", "vidrec", "train", *other, cwd=tiny_run.parent)
    assert status == 1, said
    assert content_of(tiny_run) == before
    assert run(*evaluate, cwd=tiny_run.parent) == (0, scores)


@pytest.mark.slow
def test_a_run_directory_of_somebody_else_runs_no_code(run, tiny_run, tmp_path):
    content = torch.load(tiny_run / "best.pt", weights_only=True)
    step = "{_target_: os.mkdir, path: ran}"
    content["overrides"].append(f"+data.transforms.test.zz={step}")
    torch.save(content, tmp_path / "best.pt")
    status, said = run("-m", "vidrec", "evaluate", f"run={tmp_path}", cwd=tmp_path)
    assert status == 1
    assert "Traceback" not in said
    assert "data.transforms.test.zz._target_: a run directory or checkpoint asks for os.m" in said
    assert "trust=[os]" in said
    assert os.listdir(tmp_path) == ["best.pt"]


def test_all_commands_that_take_a_run_can_be_told_whom_to_trust():
    for name, command in COMMANDS.items():
        if command.schema and name != "train":
            assert command.takes_run
            assert issubclass(getattr(schema, command.schema), schema.TrainedConf)
