"""`report.html`, `vidrec report` and `vidrec verify` after real trainings and evaluations."""

import json
import re
import shutil

import pytest
import torch

from tests.paths import ROOT
from tests.report.browser import BROWSER, opened

CLI = ["-c", "from vidrec.cli import main; main()"]


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
def test_a_report_is_verified_until_its_list_or_weights_change(trained, run):
    cwd = trained.parent
    status, output = run(ROOT / "evaluate.py", "run=run", "split=val", cwd=cwd)
    assert status == 0, output
    assert "report: run/evaluation-val/report.html" in output
    for folder in ("run", "run/evaluation-val"):
        status, output = run(*CLI, "verify", folder, "--device", "cpu", cwd=cwd)
        assert status == 0, output
        assert "scores are equal within 0.001" in output
    (data,) = (cwd / "data").iterdir()
    lines = (data / "val.txt").read_text().splitlines()
    (data / "val.txt").write_text("\n".join(lines[1:]))
    status, output = run(*CLI, "verify", "run", cwd=cwd)
    assert status == 1
    assert "val.txt (data.val.records.path) has another content" in output
    assert "the samples of val are others" in output
    data.rename(cwd / "moved")
    status, output = run(*CLI, "verify", "run", cwd=cwd)
    assert status == 1
    assert "if files have moved, say where after --, such as -- data.root=DIR" in output
    status, output = run(*CLI, "verify", "run", "--", "data.root=moved", cwd=cwd)
    assert "has another content" in output
    content = torch.load(trained / "best.pt", weights_only=True)
    name = next(name for name in content["net"] if name.endswith("weight"))
    content["net"][name] += 1
    torch.save(content, trained / "best.pt")
    status, output = run(*CLI, "verify", "run", "--", "data.root=moved", cwd=cwd)
    assert status == 1
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
