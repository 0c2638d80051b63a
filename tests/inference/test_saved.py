"""Predictions in a folder."""

import csv
import json
import os

import pytest

from vidrec.files.signature import version_of
from vidrec.inference.prediction import Prediction
from vidrec.inference.result import KeyFrame, Moment, Person, ScoredClass, Segment
from vidrec.inference.saved import SavedPredictions, prediction_from

WAVE = ScoredClass(3, "挥手", 0.75)


@pytest.fixture
def saved(tmp_path):
    """`saved(**settings)`: the folder with these settings."""
    return lambda **settings: SavedPredictions(tmp_path / "out", {"weights": "a", **settings})


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("video")
    return str(path)


def prediction(video):
    return Prediction(video, "best.pt", "recognition", "1 clip", topk=[WAVE])


def test_json_holds_every_part_of_a_prediction():
    found = Prediction(
        *("a.mp4", "best.pt", "detection", "1 clip", 2.5),
        topk=[WAVE],
        timeline=[Moment(0.0, 1.0, [WAVE])],
        key_frames=[KeyFrame(1.0, [Person((0.0, 0.1, 0.2, 1.0), 0.9, [WAVE])])],
        segments=[Segment(0.0, 1.0, 0.5, "x"), Segment(0.0, 1.0, 0.5)],
    )
    assert prediction_from(json.loads(found.to_json())) == found


def test_a_prediction_is_there_until_its_video_changes(saved, video):
    out = saved()
    out.check(["deeper/a"])
    out.mark()
    assert out.read("deeper/a", video) is None
    out.write("deeper/a", prediction(video), version_of(video))
    assert out.read("deeper/a", video) == prediction(video)
    os.utime(video, ns=(1, 1))
    assert out.read("deeper/a", video) is None


def test_predictions_of_other_settings_and_of_others_stay(saved, video):
    out = saved()
    out.check(["a"])
    out.mark()
    with pytest.raises(ValueError, match=r"made with other settings \(weights a, not b\)"):
        saved(weights="b").check(["a"])
    out.file("a").write_text('{"schema": 1}')
    with pytest.raises(ValueError, match=r"a\.json was not written by this command"):
        out.read("a", video)
    content = json.dumps({"made_with": out.made_with, "source": version_of(video)})
    out.file("a").write_text(content)
    with pytest.raises(ValueError, match=r"a\.json was changed: delete it"):
        out.read("a", video)
    assert out.file("a").read_text() == content


def test_a_table_that_is_there_is_not_replaced(saved):
    out = saved()
    out.folder.mkdir()
    (out.folder / "predictions.csv").write_text("mine")
    with pytest.raises(FileExistsError, match=r"predictions\.csv exists, and it was not written"):
        out.check(["a"])


def test_the_table_has_every_prediction_of_the_folder_but_those_that_are_out_of_date(saved, video):
    out = saved()
    out.mark()
    for name in ("b", "a", "deeper/c", "old"):
        out.write(name, prediction(f"{name}.mp4"), version_of(video))
    (out.folder / "other.json").write_text("{}")
    assert out.write_table("recognition", but=["old"]) == 3
    with (out.folder / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["video"] for row in rows] == ["a.mp4", "b.mp4", "deeper/c.mp4"]
    assert {(row["label"], row["score"]) for row in rows} == {("3", "0.75")}
