"""The examples run as they are printed, and what they train has learned something."""

import csv
import json
import re

import pytest

from tests.conftest import run_python
from tests.paths import ROOT

EXAMPLES = ROOT / "examples"


def example(name, *arguments, cwd):
    status, text = run_python(EXAMPLES / f"{name}.py", *arguments, cwd=cwd)
    assert status == 0, text
    assert "warning" not in text.lower(), text
    return text


def scores(text, name):
    """Those that evaluations printed."""
    return [float(value) for value in re.findall(rf"^{re.escape(name)} +([\d.]+) ", text, re.M)]


@pytest.fixture(scope="module")
def recognition(tmp_path_factory):
    """The folder in which the example was run, and what it printed."""
    folder = tmp_path_factory.mktemp("recognition")
    return folder, example("recognition", cwd=folder)


@pytest.mark.slow
def test_recognition_on_a_folder_of_videos(recognition):
    folder, text = recognition
    (top1,) = scores(text, "top1")
    assert top1 >= 0.8
    rows = list(csv.DictReader((folder / "predictions.csv").open()))
    assert len(rows) == 18
    assert top1 == pytest.approx(
        sum(row["label"] == row["predicted"] for row in rows) / 18, abs=1e-4
    )
    # The label is the folder of the file, whatever the program makes of it.
    assert all(row["video"].startswith(row["label"]) for row in rows)
    assert "pictures: confusion.png predictions.mp4 predictions.png" in text


@pytest.mark.slow
def test_the_python_api_says_of_a_video_what_its_evaluation_said(recognition):
    folder, _ = recognition
    rows = {row["video"]: row for row in csv.DictReader((folder / "predictions.csv").open())}
    text = example("python_api", "runs/mine", "my_videos/val/star/00.mp4", cwd=folder)
    printed = {name: float(score) for score, name in re.findall(r"^(\d\.\d{3}) (\w+)$", text, re.M)}
    assert set(printed) == {"circle", "square", "star"}
    for name, score in printed.items():
        assert score == pytest.approx(float(rows["star/00.mp4"][name]), abs=2e-3)


@pytest.mark.slow
def test_detection_with_and_without_annotations(tmp_path):
    text = example("detection", cwd=tmp_path)
    assert scores(text, "mAP@0.5")[0] >= 0.75
    assert len(next(csv.reader((tmp_path / "detections.csv").open()))) == 8
    assert "pictures/annotated: best.png boxes.mp4 class_ap.png worst.png" in text
    assert "pictures/unknown: boxes.mp4 detections.png\n" in text
    assert "no labels: nothing is scored" in text


@pytest.mark.slow
def test_localization(tmp_path):
    text = example("localization", cwd=tmp_path)
    assert scores(text, "AUC")[0] >= 0.75
    results = json.loads((tmp_path / "segments.json").read_text())["results"]
    assert len(list((tmp_path / "pictures").glob("v_*.png"))) == len(results) == 20
