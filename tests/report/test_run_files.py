"""The card of a run from its files, against figures computed by hand."""

import hashlib
import subprocess
import sys

import pytest
import torch

from tests.paths import ROOT
from tests.report.runs import ROWS, make_run
from vidrec.report import card as cards
from vidrec.report.rewriting import card_of_folder
from vidrec.report.run_files import card_of_run
from vidrec.report.speed import bottleneck
from vidrec.tracking.run import LOCK


def test_the_card_of_a_run_that_was_stopped(tmp_path):
    card = card_of_run(make_run(tmp_path / "mine"))
    assert (card.kind, card.name, card.state) == ("training", "mine", "stopped")
    assert (card.task, card.model, card.data) == ("recognition", "tsn_tiny", "shapes")
    assert card.command == "python train.py model=tsn_tiny schedule.epochs=4"
    assert card.changes == {"schedule.epochs": [8, 4]}
    # The first of two equal ones, as the checkpoint of the best epoch is.
    assert (card.epoch, card.scores) == (2, {"top1": 0.75, "top5": 0.875})
    assert (card.epochs_done, card.epochs) == (3, 4)
    # 2 steps of 0.5 s and 6 of 0.25 s, of which 2 x 0.25 s and 6 x 0.2 s wait for data.
    assert card.speed["steps"] == 8
    assert card.speed["training_seconds"] == pytest.approx(2.5)
    assert card.speed["step_seconds"] == pytest.approx(0.3125)
    assert card.speed["data_fraction"] == pytest.approx(1.7 / 2.5)
    # 2 x 4 and 6 x 4 samples in 2.5 s.
    assert card.speed["samples_per_second"] == pytest.approx(32 / 2.5)
    assert bottleneck(card.speed, is_cpu=False).startswith("68 % of a step is waiting for data")


def test_the_hash_of_the_weights_is_that_of_their_bytes(tmp_path):
    folder = make_run(tmp_path / "mine")
    content = b"weight torch.float32 (2, 3)\n" + torch.ones(2, 3).numpy().tobytes()
    assert card_of_run(folder).weights_sha256 == hashlib.sha256(content).hexdigest()


def test_without_best_pt_the_scores_are_those_of_the_last_validation(tmp_path):
    folder = make_run(tmp_path / "mine")
    (folder / "best.pt").rename(folder / "last.pt")
    card = card_of_run(folder)
    assert (card.epoch, card.scores["top5"]) == (3, 1.0)
    assert card.checkpoint.endswith("last.pt")


def test_of_a_score_that_is_to_be_low_the_lowest_is_the_best(tmp_path):
    card = card_of_run(make_run(tmp_path / "mine", higher_is_better=False))
    assert (card.epoch, card.scores["top1"]) == (1, 0.5)


def test_a_run_that_has_only_begun_has_a_card_without_scores(tmp_path):
    folder = make_run(tmp_path / "mine", rows=[], state="running")
    (folder / "best.pt").unlink()
    card = card_of_run(folder)
    assert (card.scores, card.epoch, card.speed, card.checkpoint) == ({}, None, {}, "")


def test_what_only_the_training_knew_stays_when_the_run_goes_on(tmp_path):
    folder = make_run(tmp_path / "mine", rows=ROWS[:2])
    card = card_of_run(folder)
    card.parameters, card.datasets = 7, {"val": {"samples": 3}}
    cards.write(card, folder)
    (folder / "metrics.jsonl").unlink()
    again = card_of_run(make_run(tmp_path / "other"))
    assert again.parameters is None
    (tmp_path / "other" / "metrics.jsonl").rename(folder / "metrics.jsonl")
    later = card_of_run(folder)
    assert (later.parameters, later.datasets) == (7, {"val": {"samples": 3}})
    assert (later.epoch, later.scores["top1"]) == (2, 0.75)


def test_a_run_without_a_process_was_killed(tmp_path):
    """Another process holds the lock, as one that trains does."""
    folder = make_run(tmp_path / "mine", state="running")
    code = (
        "import fcntl, sys; s = open(sys.argv[1], 'a+'); fcntl.lockf(s, fcntl.LOCK_EX);"
        "print('locked', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, folder / LOCK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert holder.stdout.readline() == "locked\n"
    assert card_of_folder(folder).state == "running"
    holder.communicate("")
    assert card_of_folder(folder).state == "killed"


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a run directory"):
        card_of_folder(tmp_path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[]", "is not a report.json"),
        ('{"kind": "training"}', "has format None, expected 1"),
        ('{"kind": "training", "format": 1, "name": 3, "state": "x"}', "was changed: name is '3'"),
        ('{"kind": "training", "format": 1, "name": "x"}', "lacks kind, name or state"),
    ],
)
def test_a_file_that_is_no_card_is_rejected_in_a_sentence(tmp_path, content, sentence):
    path = tmp_path / "report.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=sentence):
        cards.read(path)


def test_a_card_is_read_as_it_was_written(tmp_path):
    card = card_of_run(make_run(tmp_path / "mine"))
    card.tables = [{"title": "a", "columns": ["b"], "rows": [[float("nan")]], "note": ""}]
    cards.write(card, tmp_path)
    card.tables[0]["rows"] = [[None]]  # JSON has no NaN
    assert cards.read(tmp_path) == card
