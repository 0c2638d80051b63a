"""Several runs from one command: their table, what happens to one that fails, the launchers."""

import csv
import json
import os
import subprocess
import sys

import pytest

from tests.paths import ROOT
from tests.waiting import LIMIT
from vidrec.commands.sweep import main
from vidrec.config import overrides
from vidrec.tracking import status, sweep

SMALL = [
    "model.clip.size=32", "model.clip.short_side=36", "schedule.batch_size=4", "schedule.epochs=1",
    "schedule.max_steps=2", "runtime.num_workers=0", "runtime.wandb.mode=disabled",
    "runtime.device=cpu", "runtime.threads=1",
]  # fmt: skip


def make_run(folder, given, state, rows=(), **facts):
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(given))  # JSON is YAML
    status.write(folder, state, key="top1", higher_is_better=True, **facts)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metrics.jsonl").write_text(text + '{"epoch": 9, "st')  # cut off: being written


@pytest.fixture
def folder(tmp_path):
    scores = [{"epoch": n, "step": n, "val/top1": v} for n, v in ((1, 0.25), (2, 0.75), (3, 0.5))]
    make_run(tmp_path / "a", ["++lr=0.1", "model=tsn"], "finished", scores)
    make_run(tmp_path / "b", ["++lr=0.2", "model=tsn"], "failed", error="no such file")
    running = [{"epoch": 1, "step": 5, "train/loss": 1.0}, {"epoch": 1, "step": 5, "val/top1": 0.9}]
    make_run(tmp_path / "c", ["++lr=0.3", "model=tsn"], "running", running)
    return tmp_path


def test_the_best_come_first_and_only_what_differs_is_shown(folder):
    assert sweep.table(sweep.read_rows(folder)) == [
        ["lr", "top1", "epochs", "state", "run"],
        ["0.3", "0.9000", "1", "running", "c"],
        ["0.1", "0.7500", "3", "finished", "a"],
        ["0.2", "", "0", "failed: no such file", "b"],
    ]


def test_a_score_that_should_be_low_is_ranked_by_its_smallest(tmp_path):
    for name, values in (("a", (3.0, 2.0)), ("b", (1.5, 9.0))):
        rows = [{"epoch": 1, "step": 1, "val/top1": value} for value in values]
        make_run(tmp_path / name, [f"lr={name}"], "finished", rows)
        status.write(tmp_path / name, "finished", higher_is_better=False)
    assert [(row.folder.name, row.best) for row in sweep.read_rows(tmp_path)] == [
        ("b", 1.5),
        ("a", 2.0),
    ]


def test_the_command_prints_the_table_and_writes_csv_and_picture(folder, capsys):
    main([str(folder)])
    assert capsys.readouterr().out.splitlines()[1].split() == ["0.3", "0.9000", "1", "running", "c"]
    with (folder / "sweep.csv").open() as stream:
        assert [row["run"] for row in csv.DictReader(stream)] == ["c", "a", "b"]
    assert (folder / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_runs_is_named(tmp_path):
    with pytest.raises(SystemExit, match=f"error: {tmp_path} holds no runs"):
        main([str(tmp_path)])


def test_a_sweep_under_torchrun_is_refused_with_the_command_that_works(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(SystemExit) as stopped:
        overrides.set_argv(["-m", "model=tsn,tsm"])
    assert (
        "python train.py -m model=tsn,tsm hydra/launcher=submitit_local "
        "hydra.launcher.tasks_per_node=4" in str(stopped.value)
    )


def test_a_launcher_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(overrides._PLUGINS, "runtime=slurm", ("hydra_plugins.no_such", "slurm"))
    with pytest.raises(SystemExit, match=r"pip install 'vidrec\[slurm\]'"):
        overrides.set_argv(["model=tsn", "runtime=slurm"])


def test_slurm_means_a_sweep_and_its_folder_follows_from_the_choices(monkeypatch):
    seen = []
    for more in ([], ["hydra.launcher.partition=gpu", "runtime.num_workers=3"]):
        monkeypatch.setattr(sys, "argv", ["train.py"])
        overrides.set_argv(["model=tsn", "runtime=slurm", *more])
        assert sys.argv[1] == "--multirun"
        seen += [argument for argument in sys.argv if argument.startswith("hydra.sweep.dir")]
    assert seen == ["hydra.sweep.dir='runs/sweep,model=tsn'"] * 2


def test_a_number_for_the_learning_rate_means_the_optimizers():
    assert overrides.lenient(["schedule.lr=0.01,0.02"]) == ["++schedule.optimizer.lr=0.01,0.02"]
    assert overrides.lenient(["schedule.lr.drop.gamma=0.5"]) == ["++schedule.lr.drop.gamma=0.5"]


def train(folder, *arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "train.py"), "-m", *SMALL, *arguments],
        cwd=folder, capture_output=True, text=True, timeout=LIMIT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_one_failed_run_does_not_lose_the_others(tmp_path, launcher):
    done = train(tmp_path, "schedule.lr=0.01,-1,0.02", f"hydra/launcher={launcher}")
    assert done.returncode == 1
    assert "error: 1 of 3 runs failed; the others are done" in done.stderr
    (folder,) = tmp_path.glob("runs/sweep*")
    states = {row.overrides["schedule.optimizer.lr"]: row.state for row in sweep.read_rows(folder)}
    assert states == {"0.01": "finished", "-1": "failed", "0.02": "finished"}
    # The same command again: what is finished stays, what failed is tried again.
    assert "this run had already finished" in train(tmp_path, "schedule.lr=0.01,-1,0.02").stdout


@pytest.mark.slow
def test_optuna_gets_the_best_score_of_each_run(tmp_path):
    done = train(
        tmp_path, "hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=1",
        "hydra.sweeper.direction=maximize", "schedule.lr=0.01",
        "schedule.clip_norm=interval(1.0,40.0)",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (found,) = tmp_path.glob("runs/sweep*/optimization_results.yaml")
    rows = sweep.read_rows(found.parent)
    assert len(rows) == 2
    assert f"best_value: {rows[0].best}" in found.read_text()


@pytest.mark.slow
def test_submitit_starts_the_processes_of_a_run_on_this_machine(tmp_path):
    done = train(tmp_path, "hydra/launcher=submitit_local", "hydra.launcher.tasks_per_node=2")
    assert done.returncode == 0, done.stderr
    (log,) = tmp_path.glob("runs/sweep*/*/train.log")
    assert "8 samples per step on 2 x cpu" in log.read_text()
