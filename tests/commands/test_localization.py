"""Localization as a user types it, on the embedded example."""

import json
import re

import numpy as np
import pytest

from tests.paths import ROOT
from vidrec.data.synthetic.shapes_anet import write_shapes_anet

QUIET = ["runtime.wandb.mode=disabled", "runtime.progress=false", "runtime.num_workers=0"]


def validation_scores(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if "val/AUC" in row]


@pytest.mark.slow
def test_bmn_finds_what_was_planted(run, tmp_path):
    status, text = run(
        ROOT / "train.py", "model=bmn", *QUIET, "schedule.epochs=4", "hydra.run.dir=runs/a",
        cwd=tmp_path,
    )  # fmt: skip
    assert status == 0, text
    assert validation_scores(tmp_path / "runs" / "a")[-1]["val/AR@100"] >= 0.85
    assert (tmp_path / "runs" / "a" / "segments.png").is_file()
    # The same numbers from its results, written and scored without a network.
    status, text = run(
        ROOT / "evaluate.py", "run=runs/a", "dump=out.json", "pictures=pictures",
        "runtime.progress=false", cwd=tmp_path,
    )  # fmt: skip
    assert status == 0, text
    first = re.findall(r"^(A\S+)\s+([\d.]+)", text, re.M)
    assert len(list((tmp_path / "pictures").glob("v_*.png"))) == 60
    assert (tmp_path / "pictures" / "ar_an.png").is_file()
    status, text = run(ROOT / "evaluate.py", "model=bmn", "score=[out.json]", cwd=tmp_path)
    assert status == 0, text
    assert re.findall(r"^(A\S+)\s+([\d.]+)", text, re.M) == first


@pytest.mark.slow
def test_features_of_other_videos_do_not_help(run, tmp_path):
    root = tmp_path / "shuffled"
    write_shapes_anet(str(root))
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        files = sorted(root.glob(f"csv/v_{split}*.csv"))
        contents = [file.read_bytes() for file in files]
        for file, i in zip(files, rng.permutation(len(files)), strict=True):
            file.write_bytes(contents[i])
    status, text = run(
        ROOT / "train.py", "model=bmn", *QUIET, f"data.root={root}", "hydra.run.dir=runs/a",
        "schedule.epochs=4", cwd=tmp_path,
    )  # fmt: skip
    assert status == 0, text  # after four epochs the videos' own features give more than 0.9
    best = max(row["val/AR@100"] for row in validation_scores(tmp_path / "runs" / "a"))
    assert best < 0.8


@pytest.mark.slow
def test_the_chain_of_bsn(run, tmp_path):
    small = ["schedule.epochs=8", "schedule.lr.drop.milestones=[6]", *QUIET]
    status, text = run(
        ROOT / "train.py", "model=bsn_tem", *small, "hydra.run.dir=runs/tem", cwd=tmp_path
    )
    assert status == 0, text
    tem = validation_scores(tmp_path / "runs" / "tem")[-1]
    out = "data/shapes_anet_proposals"
    status, text = run(
        "-m", "vidrec", "proposals", "run=runs/tem", f"out={out}", "runtime.progress=false",
        cwd=tmp_path,
    )  # fmt: skip
    assert status == 0, text
    assert len(list((tmp_path / out).glob("*.npz"))) == 220
    status, text = run(
        ROOT / "train.py", "model=bsn_pem", "schedule.optimizer.lr=0.01", *small,
        "hydra.run.dir=runs/pem", cwd=tmp_path,
    )  # fmt: skip
    assert status == 0, text
    pem = validation_scores(tmp_path / "runs" / "pem")[-1]
    assert pem["val/AUC"] > 0.5
    assert tem["val/AUC"] > 0.5


@pytest.mark.slow
def test_wrong_data_ends_before_training(run, tmp_path):
    write_shapes_anet(str(tmp_path / "data" / "shapes_anet"), 8, 4, 32, 32)
    arguments = ["model=bmn", *QUIET, "data.prepare=null"]
    status, text = run(ROOT / "train.py", *arguments, cwd=tmp_path)
    assert status != 0
    assert "data.resize=true" in text
    assert "Traceback" not in text
    (tmp_path / "data" / "shapes_anet" / "csv" / "v_train_0003.csv").unlink()
    status, text = run(ROOT / "train.py", *arguments, "data.resize=true", cwd=tmp_path)
    assert status != 0
    assert "1 of 8 annotated videos have no features" in text
