"""The commands as a user types them, in a folder that is not the checkout."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import vidrec
from tests.paths import ROOT

SMALL = [
    "runtime.wandb.mode=disabled",
    "runtime.num_workers=0",
    "runtime.threads=1",
    "data.prepare.num_train=16",
    "data.prepare.num_val=8",
    "schedule.batch_size=4",
    "schedule.base_batch_size=4",
    "schedule.epochs=2",
]


def run(script, *arguments, cwd):
    return subprocess.run(
        [sys.executable, ROOT / script, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.slow
def test_a_run_leaves_finite_losses_pictures_and_checkpoints(tiny_run):
    rows = [json.loads(line) for line in (tiny_run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "val/top1" in row] == [4, 8]
    assert all(np.isfinite(row["train/loss"]) for row in rows if "train/loss" in row)
    log = (tiny_run / "train.log").read_text()
    for name in ("best.pt", "last.pt", "curves.png", "confusion.png"):
        assert (tiny_run / name).stat().st_size > 0, name
        assert name in log


@pytest.mark.slow
def test_the_command_of_a_finished_run_changes_nothing(tiny_run):
    before = (tiny_run / "last.pt").read_bytes()
    overrides = torch.load(tiny_run / "last.pt", weights_only=True)["overrides"]
    again = run("train.py", *overrides, "hydra.run.dir=run", cwd=tiny_run.parent)
    assert again.returncode == 0, again.stderr
    assert "finished" in again.stdout
    assert (tiny_run / "last.pt").read_bytes() == before


@pytest.mark.slow
def test_evaluation_gives_the_score_that_training_logged(tiny_run, tmp_path):
    rows = [json.loads(line) for line in (tiny_run / "metrics.jsonl").read_text().splitlines()]
    best = max(row["val/top1"] for row in rows if "val/top1" in row)
    data = f"data.root={tiny_run.parent / vidrec.compose(*SMALL).data.root}"
    dump = tmp_path / "p.npz"
    done = run("evaluate.py", f"run={tiny_run}", data, "split=val", f"dump={dump}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("top1"))
    assert float(line.split()[1]) == pytest.approx(best, abs=5e-5)
    assert "3 clips x 1 crop" in line
    assert "8 videos" in line
    # A dump scored without a net, and fused with itself, gives that number once more.
    for files in (f"[{dump}]", f"[{dump},{dump}]"):
        scored = run("evaluate.py", f"run={tiny_run}", data, f"score={files}", cwd=tmp_path)
        assert scored.returncode == 0, scored.stderr
        assert scored.stdout.splitlines()[0].split()[:2] == line.split()[:2]
    # The test protocol: several clips, ten crops each.
    done = run("evaluate.py", f"run={tiny_run}", data, cwd=tmp_path)
    assert "5 clips x 10 crops" in done.stdout, done.stderr


@pytest.mark.slow
def test_training_on_folders_of_ones_own_videos(tmp_path):
    from vidrec.data.synthetic.shapes import draw_shape
    from vidrec.data.video.writer import write_video

    for split in ("train", "val"):
        for i, name in enumerate(("circle", "square") * 4):
            path = tmp_path / "mine" / split / name / f"{i}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, draw_shape(name, np.random.default_rng(i)), 12)
    (tmp_path / "mine" / "train" / "circle" / "0.mp4").write_bytes(b"garbage")
    mine = ["data=folders", "data.root=mine", *[s for s in SMALL if "prepare" not in s]]
    done = run("train.py", *mine, cwd=tmp_path)
    assert done.returncode == 1
    assert "mine/train/circle/0.mp4" in done.stderr
    assert "Traceback" not in done.stderr
    mine += ["data.on_bad_video=replace", "data.max_bad_fraction=0.2"]
    done = run("train.py", *mine, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "unreadable video mine/train/circle/0.mp4" in done.stdout


@pytest.mark.slow
def test_an_error_with_workers_ends_the_process(tmp_path):
    mine = [s for s in SMALL if "prepare" not in s and "num_workers" not in s]
    for split in ("train", "val"):
        (tmp_path / f"{split}.txt").write_text("".join(f"no{i}.mp4 0\n" for i in range(16)))
    data = ["data=videos", "data.name=mine", f"data.root={tmp_path}", "data.num_classes=2"]
    done = run("train.py", *data, *mine, "runtime.num_workers=2", "--no-check", cwd=tmp_path)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert last.endswith("the file does not exist")


@pytest.mark.slow
def test_a_folder_that_is_no_run_is_named(tmp_path):
    done = run("evaluate.py", "run=nowhere", cwd=tmp_path)
    assert done.returncode == 1
    assert "nowhere is not a run directory" in done.stderr


def test_configuration_is_printed_whole(tmp_path):
    arguments = ["model=tsn", "data=kinetics400", "--cfg", "job", "--resolve"]
    done = run("train.py", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "path: data/kinetics400/kinetics400_train_list_videos.txt" in done.stdout
    assert "${" not in done.stdout


@pytest.mark.slow
def test_a_missing_list_is_named_in_one_sentence(tmp_path):
    arguments = ["model=tsn", "model.weights=null", "data=ucf101", "runtime.wandb.mode=disabled"]
    done = run("train.py", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert "error: data.root=data/ucf101 does not exist" in done.stderr
    (tmp_path / "data" / "ucf101").mkdir(parents=True)
    done = run("train.py", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert "error: data/ucf101/ucfTrainTestlist/classInd.txt" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_run_with_synchronised_norms_is_evaluated_on_a_processor(tiny_run):
    """Evaluation computes no statistics that ranks would have to exchange."""
    of_run, where = ["evaluate.py", f"run={tiny_run}", "split=val"], tiny_run.parent
    plain, synchronised = (
        run(*of_run, f"schedule.sync_bn={on}", cwd=where) for on in ("false", "true")
    )
    assert synchronised.returncode == 0, synchronised.stderr
    assert synchronised.stdout == plain.stdout
