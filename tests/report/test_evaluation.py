"""Where the report of an evaluation goes, and what it leaves alone."""

from types import SimpleNamespace

import pytest

from vidrec.commands.evaluate import evaluate_run, report_folder
from vidrec.engine.timed_loader import TimedLoader
from vidrec.files.signature import sign
from vidrec.report import speed
from vidrec.report.files import check_report_folder


@pytest.mark.parametrize(
    ("report", "run", "expected"),
    [
        ("auto", "runs/a", "runs/a/evaluation-test"),
        ("auto", None, None),
        ("none", "runs/a", None),
        ("mine", None, "mine"),
        ("mine", "runs/a", "mine"),
    ],
)
def test_the_folder_of_a_report(report, run, expected):
    found = report_folder(SimpleNamespace(report=report, run=run, split="test"))
    assert (None if found is None else str(found)) == expected


def test_folders_with_files_of_others_are_refused(tmp_path):
    check_report_folder(tmp_path / "new")
    check_report_folder(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"such as notes\.txt"):
        check_report_folder(tmp_path)
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(FileExistsError, match="vidrec did not write it"):
        check_report_folder(tmp_path)
    sign(tmp_path / "report.json")
    check_report_folder(tmp_path)


def test_waiting_is_the_time_inside_the_loader(monkeypatch):
    now = iter(range(0, 1000, 3))  # every look at the clock is 3 s later
    monkeypatch.setattr("vidrec.engine.timed_loader.time.perf_counter", lambda: next(now))

    class Two(list):
        dataset = None

    loader = TimedLoader(Two("ab"))
    assert list(loader) == ["a", "b"]
    assert (loader.waited, loader.total) == (6, 12)
    found = speed.speed_of_evaluation(loader, 24)
    assert (found["data_fraction"], found["samples_per_second"]) == (0.5, 2.0)


def test_a_report_of_files_that_are_scored_is_refused(compose, tmp_path):
    (tmp_path / "a.npz").write_bytes(b"")
    overrides = ["model=tsn_tiny", f"score=[{tmp_path / 'a.npz'}]", "report=mine"]
    conf = compose(*overrides, config_name="evaluate")
    with pytest.raises(ValueError, match="report=mine: files that are scored have no report"):
        evaluate_run(conf)
