"""Several runs from one command: their table, what happens to one that fails, the launchers."""

import csv
import json
import os
import re
import subprocess
import sys

import pytest
import yaml
from omegaconf import OmegaConf

from tests.paths import ROOT
from tests.waiting import LIMIT
from vidrec.commands.sweep import main
from vidrec.config import overrides
from vidrec.config.command_line import read
from vidrec.config.slips import first_slip
from vidrec.errors import ConfigError
from vidrec.tracking import status, sweep

SMALL = [
    "model.clip.size=32", "model.clip.short_side=36", "schedule.batch_size=4", "schedule.epochs=1",
    "schedule.max_steps=2", "runtime.num_workers=0", "runtime.wandb.mode=disabled",
    "runtime.device=cpu", "runtime.threads=1",
]  # fmt: skip


def for_hydra(*arguments):
    return read(arguments, [ROOT / "conf"]).for_hydra()


def make_run(folder, given, state, rows=(), **facts):
    folder.mkdir(parents=True)
    said = {"overrides": given, "key": "top1", "higher_is_better": True, **facts}
    status.write(folder, state, **said)
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


def test_metrics_that_do_not_compare_have_columns_and_ranks_of_their_own(tmp_path, capsys):
    """An mAP of 0.9 is not better than a top1 of 0.5, nor is an AUC of 60."""
    for name, key, value in (
        ("a", "mAP@0.5", 0.1), ("b", "top1", 0.5), ("c", "mAP@0.5", 0.9), ("d", "top1", 0.75),
        ("e", "AUC", 60.0),
    ):  # fmt: skip
        rows = [{"epoch": 1, "step": 1, f"val/{key}": value, "val/other": 1.0}]
        make_run(tmp_path / name, [f"model={name}"], "finished", rows, key=key)
    make_run(tmp_path / "f", ["model=f"], "failed", error="no such file", key="top1")
    main([str(tmp_path)])
    expected = [
        ["model", "AUC", "mAP@0.5", "top1", "epochs", "state", "run"],
        ["e", "60.0000", "", "", "1", "finished", "e"],
        ["c", "", "0.9000", "", "1", "finished", "c"],
        ["a", "", "0.1000", "", "1", "finished", "a"],
        ["d", "", "", "0.7500", "1", "finished", "d"],
        ["b", "", "", "0.5000", "1", "finished", "b"],
        ["f", "", "", "", "0", "failed: no such file", "f"],
    ]
    with (tmp_path / "sweep.csv").open() as stream:
        assert list(csv.reader(stream)) == expected
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_damaged_files_of_a_run_leave_the_table_of_the_others(folder, capsys):
    with (folder / "a" / "metrics.jsonl").open("ab") as stream:
        stream.write(b'\n\x00\xff\n[1]\n{"epoch": 4, "step": 4, "val/top1": 1.0}\n')
    (folder / "c" / "status.json").write_text("[]")
    rows = {row.folder.name: row for row in sweep.read_rows(folder)}
    assert (rows["a"].best, rows["a"].epochs) == (1.0, 4)
    assert (rows["b"].state, rows["b"].overrides["lr"]) == ("failed", "0.2")
    assert (rows["c"].state, rows["c"].overrides) == ("unknown", {})
    said = capsys.readouterr().err
    assert f"{folder}/a/metrics.jsonl: 3 damaged lines are left out" in said
    assert f"{folder}/c/status.json is damaged" in said
    main([str(folder)])


def test_the_command_prints_the_table_and_writes_csv_and_picture(folder, capsys):
    main([str(folder)])
    assert capsys.readouterr().out.splitlines()[1].split() == ["0.3", "0.9000", "1", "running", "c"]
    with (folder / "sweep.csv").open() as stream:
        assert [row["run"] for row in csv.DictReader(stream)] == ["c", "a", "b"]
    assert (folder / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_a_file_of_the_user_is_not_replaced_by_a_table(folder, tmp_path):
    mine = tmp_path / "mine.csv"
    mine.write_text("mine")
    with pytest.raises(SystemExit, match=r"mine\.csv exists, and vidrec did not write it"):
        main([str(folder), "--csv", str(mine)])
    assert mine.read_text() == "mine"
    for _ in range(2):  # its own table again
        main([str(folder), "--csv", str(tmp_path / "table.csv")])


def test_a_folder_without_runs_is_named(tmp_path):
    with pytest.raises(SystemExit, match=f"error: {tmp_path} holds no runs"):
        main([str(tmp_path)])


def test_a_sweep_under_torchrun_is_refused_with_the_command_that_works(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ConfigError) as stopped:
        for_hydra("-m", "model=tsn,tsm")
    assert (
        "python train.py -m model=tsn,tsm hydra/launcher=submitit_local "
        "hydra.launcher.tasks_per_node=4" in str(stopped.value)
    )


@pytest.mark.parametrize(
    "asked", ["-m", "--multirun", "--multi", "hydra.mode=MULTIRUN", "++hydra.mode='MULTIRUN'"]
)
def test_whatever_asks_hydra_for_a_sweep_has_its_folder_and_is_refused_under_torchrun(
    monkeypatch, asked
):
    assert for_hydra("model=tsn,tsm", asked) == [
        "--multirun",
        "model=tsn,tsm",
        "hydra.sweep.dir='runs/sweep+model-tsn--tsm'",
    ]
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ConfigError, match="torchrun starts one run in several processes"):
        for_hydra("model=tsn,tsm", asked)


def test_a_single_run_is_no_sweep():
    for argument in ("hydra.mode=RUN", "model=tsn"):
        assert for_hydra(argument) == [argument]


def test_what_an_agent_of_the_documented_wandb_sweep_runs_composes(compose):
    """The command as wandb's own agent builds it."""
    utils = pytest.importorskip("wandb.sdk.launch.sweeps.utils")
    page = (ROOT / "docs" / "cluster.md").read_text()
    conf = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    chosen = {"schedule.optimizer.lr": 0.0123, "schedule.clip_norm": "null", "model": "tsm"}
    assert chosen.keys() == conf["parameters"].keys()
    assert chosen["schedule.clip_norm"] in conf["parameters"]["schedule.clip_norm"]["values"]
    values = {"args": {name: {"value": value} for name, value in chosen.items()}}
    parts = utils.create_sweep_command_args(values) | {"program": [conf["program"]]}
    command = utils.create_sweep_command(conf["command"])
    arguments = [a for part in command for a in parts.get(part.strip("${}"), [part])]
    assert arguments[:3] == ["${env}", "${interpreter}", "train.py"]
    composed = compose(*arguments[3:])
    assert composed.schedule.optimizer["lr"] == 0.0123
    assert composed.schedule.clip_norm is None
    assert composed.model.net["backbone"]["_target_"].endswith("TSM")
    for name in ("args", "args_no_equals", "args_no_boolean_flags"):
        slip = first_slip(parts[name], [ROOT / "conf"])
        assert re.search(r"write values without hyphens.*\$\{args_no_hyphens\}", slip)
    slip = first_slip(parts["args"], [ROOT / "conf"])
    assert "--schedule.optimizer.lr=0.0123 is not an option" in slip


def test_a_file_that_asks_for_a_sweep_is_refused_with_the_way_out():
    config = OmegaConf.create({"hydra": {"overrides": {"hydra": ["hydra.mode=MULTIRUN"]}}})
    with pytest.raises(SystemExit, match="start the sweep with -m"):
        sweep.Report().on_multirun_start(config)
    config.hydra.overrides.hydra.append("hydra.sweep.dir='runs/sweep'")
    sweep.Report().on_multirun_start(config)


def test_slurm_means_a_sweep_and_its_folder_follows_from_the_choices():
    seen = []
    for more in ([], ["hydra.launcher.partition=gpu", "runtime.num_workers=3"]):
        given = for_hydra("model=tsn", "runtime=slurm", *more)
        assert given[0] == "--multirun"
        seen += [argument for argument in given if argument.startswith("hydra.sweep.dir")]
    assert seen == ["hydra.sweep.dir='runs/sweep+model-tsn'"] * 2


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
