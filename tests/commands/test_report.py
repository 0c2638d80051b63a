"""`report.html`, `vidrec report` and `vidrec verify` after real trainings and evaluations."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from tests.paths import ROOT
from tests.report.browser import BROWSER, opened
from vidrec.commands import verify


@pytest.fixture
def trained(tiny_run, tmp_path):
    """A copy of the tiny run, beside a link to its data."""
    shutil.copytree(tiny_run, tmp_path / "run", copy_function=shutil.copy2)
    shutil.copytree(tiny_run.parent / "data", tmp_path / "data")
    return tmp_path / "run"


@pytest.mark.slow
def test_a_training_ends_with_a_report_of_what_it_logged(tiny_run):
    card = json.loads((tiny_run / "report.json").read_text())
    rows = [json.loads(line) for line in (tiny_run / "metrics.jsonl").read_text().splitlines()]
    best = max(rows, key=lambda row: row.get("val/top1", -1))
    assert card["scores"] == {n[4:]: v for n, v in best.items() if n.startswith("val/")}
    assert (card["state"], card["epochs"], card["epoch"]) == ("finished", 2, best["epoch"])
    assert card["datasets"]["train"]["samples"] == 16
    state = torch.load(tiny_run / "best.pt", weights_only=True)["about"]
    assert card["task"] == state["task"]
    assert re.search(r"run: report\.html, best\.pt", (tiny_run / "train.log").read_text())
    assert (tiny_run / "report.html").stat().st_size < 3_000_000


@pytest.mark.slow
def test_a_report_is_verified_until_its_list_or_weights_change(trained, run, monkeypatch, capsys):
    monkeypatch.chdir(trained.parent)

    def verified(*arguments):
        """Whether `vidrec verify` ends well, and what it says."""
        try:
            verify.main([*arguments])
        except SystemExit as stopped:
            said = stopped.code if isinstance(stopped.code, str) else ""
            return False, capsys.readouterr().out + said
        return True, capsys.readouterr().out

    options = ["runtime.num_workers=0", "runtime.threads=1"]
    status, output = run(ROOT / "evaluate.py", "run=run", "split=val", *options, cwd=trained.parent)
    assert status == 0, output
    assert "report: run/evaluation-val/report.html" in output
    for folder in ("run", "run/evaluation-val"):
        is_same, output = verified(folder, "--device", "cpu", "--", *options)
        assert is_same, output
        assert "every score is equal within 0.001" in output
    lists = json.loads((trained / "report.json").read_text())["lists"]
    data = Path(lists["data.val.records.path"]["file"]).parent
    lines = (data / "val.txt").read_text().splitlines()
    (data / "val.txt").write_text("\n".join(lines[1:]))
    content = torch.load(trained / "best.pt", weights_only=True)
    name = next(name for name in content["net"] if name.endswith("weight"))
    content["net"][name] += 1
    torch.save(content, trained / "best.pt")
    data.rename("moved")
    is_same, output = verified("run", "--", *options)
    assert not is_same
    assert "if files have moved, say where after --, such as -- data.root=DIR" in output
    is_same, output = verified("run", "--", "data.root=moved", *options)
    assert not is_same
    assert "moved/val.txt (data.val.records.path) has another content" in output
    assert "the samples of val are others" in output
    assert "run/best.pt has other weights than those that were evaluated" in output


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome")
def test_a_browser_shows_the_report_of_a_training_without_an_error(tiny_run, tmp_path):
    """On a phone and on a desktop."""
    for width in (390, 1200):
        seen = opened(tiny_run / "report.html", width, tmp_path)
        assert seen["width"] == width
        assert seen["overflow"] == 0
        assert len(seen["images"]) >= 2
        assert min(seen["images"]) > 0
        assert seen["videos"] == [0]
        assert seen["requests"] == []
        assert seen["errors"] == []
