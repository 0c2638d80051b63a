"""What tasks draw at the end of a run and for `evaluate pictures=FOLDER`."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tests.plots.pixels import kept_figures, texts
from tests.report.runs import make_run
from vidrec.commands import train
from vidrec.data.clips.records import Records
from vidrec.data.segments.records import SegmentRecord, SegmentRecords
from vidrec.engine.job import Outcome
from vidrec.metrics.average_recall import AverageRecall
from vidrec.metrics.charts import Bars
from vidrec.metrics.segment_map import SegmentMAP
from vidrec.plots import clips, confusion, metric_charts, timelines
from vidrec.tasks import localization, recognition
from vidrec.tasks.task import Evaluated


class Clips:
    """Grey clips of four files."""

    records = Records.pack([f"{name}.mp4" for name in ("a", "b", "猫", "d")], [0, 1, 0, 1])

    def __getitem__(self, row):
        return {"video": np.full((1, 1, 4, 20, 30, 3), 50 * row, np.uint8)}


class Metric:
    """A metric with charts, one of which has nothing to show."""

    key, higher_is_better = "top1", True

    def charts(self, rows):
        return {
            "recall": Bars("recall", {"cat": 1.0, "dog": 0.5}),
            "none": Bars("nothing", {"cat": float("nan")}),
        }


def evaluated(metric=None):
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    rows = {"index": np.arange(4), "scores": scores, "label": np.array([0, 1, 0, 1])}
    title = "mine val, epoch 2 of 3"
    return Evaluated(metric or Metric(), rows, Clips(), ["cat", "dog"], title=title)


def test_pictures_of_recognition_name_files_and_classes_and_say_of_what_they_are(
    tmp_path, monkeypatch
):
    figures = [kept_figures(monkeypatch, module) for module in (clips, confusion, metric_charts)]
    recognition.pictures(evaluated(), tmp_path)
    names = ["confusion.png", "predictions.mp4", "predictions.png", "recall.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    sheet, matrix, chart = (texts(figure) for (figure,) in figures)
    assert "mine val, epoch 2 of 3; 3 of 4 are right, wrong ones come first" in sheet
    assert [text for text in sheet if text[0] in "✓✗"] == [
        "✗ 0.70 dog", "✓ 0.90 cat", "✓ 0.80 dog", "✓ 0.60 dog",
    ]  # fmt: skip
    assert [text for text in sheet if text.endswith(".mp4")][1:] == ["a.mp4", "b.mp4", "d.mp4"]
    assert any(text.startswith("mine val, epoch 2 of 3\n2 classes") for text in matrix)
    assert any(text.startswith("mine val, epoch 2 of 3") for text in chart)


def one_segment():
    """Rows of a metric: one video with one detected segment."""
    return {
        "index": np.arange(1),
        "row": np.arange(1),
        "segments": np.array([[[4.0, 21.0]]]),
        "scores": np.array([[0.8]]),
        "count": np.array([1]),
    }


def test_pictures_of_localization_have_the_classes_that_the_metric_gives(tmp_path, monkeypatch):
    figures = kept_figures(monkeypatch, timelines)
    record = SegmentRecord("v_a", 50.0, 50.0, 50.0, np.array([[5.0, 20.0]]), np.array([0]))
    metric = SegmentMAP(SegmentRecords.pack([record], ["run"]))
    metric.video_labels = {"a": [("run", 0.5)]}
    localization.pictures(Evaluated(metric, one_segment(), None, ["run"]), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["class_ap.png", "v_a.png"]
    assert " 0.40 run" in texts(figures[0])


@pytest.mark.parametrize("kind", [AverageRecall, SegmentMAP])
def test_segments_without_ground_truth_are_drawn_without_charts(tmp_path, monkeypatch, kind):
    figures = kept_figures(monkeypatch, timelines)
    nothing = SegmentRecord("v_a", 50.0, 50.0, 50.0, np.zeros((0, 2)), np.zeros(0, np.int64))
    metric = kind(SegmentRecords.pack([nothing], []))
    localization.pictures(Evaluated(metric, one_segment(), None, []), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["v_a.png"]
    assert " 0.80" in texts(figures[0])
    assert "truth" not in texts(figures[0])


def test_figures_of_a_resumed_run_say_that_its_best_epoch_came_before():
    rows, nan = {"index": np.arange(1)}, float("nan")
    best = Outcome(0.75, 2, {"top1": 0.75}, rows)
    assert train.which_epoch("top1", best, 8) == "epoch 2 of 8, top1 0.7500"
    later = Outcome(0.75, 7, {"top1": 0.5}, rows)
    text = "epoch 7 of 8, top1 0.5000 (the best, 0.7500, came before the run was resumed)"
    assert train.which_epoch("top1", later, 8) == text
    none = Outcome(nan, 8, {"AUC": nan}, rows)
    assert train.which_epoch("AUC", none, 8) == "epoch 8 of 8, AUC nan"


def test_a_figure_that_fails_costs_a_warning_and_not_the_run(tmp_path):
    class Broken(Metric):
        def charts(self, rows):
            return {"x": rows["of another name"]}

    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1, "step": 1, "train/loss": 1.0}\n')
    told = []
    run = SimpleNamespace(
        folder=tmp_path, warn=told.append, picture=lambda *_: None, video=lambda *_: None
    )
    train.draw(recognition, evaluated(Broken()), run)
    (warning,) = told
    assert "a figure could not be drawn" in warning
    assert "of another name" in warning
    for name in ("curves", "confusion", "predictions"):  # what others draw is there
        assert Image.open(tmp_path / f"{name}.png").width > 300


@pytest.mark.parametrize("several", [False, True])
def test_of_samples_with_several_labels_there_is_no_confusion(tmp_path, several):
    found = evaluated()
    if several:
        found.rows["label"] = np.eye(2)[found.rows["label"]]
    recognition.pictures(found, tmp_path)
    assert (tmp_path / "confusion.png").exists() != several


@pytest.mark.parametrize("is_there", [True, False])
def test_a_run_that_had_finished_before_keeps_its_report(tmp_path, is_there):
    folder = make_run(tmp_path / "run", state="running")
    if is_there:
        (folder / "report.json").write_text("{}")
    told = []
    run = SimpleNamespace(folder=folder, warn=told.append)
    before = SimpleNamespace(found=SimpleNamespace(rows={}))
    train.report_page(before, run, None)
    assert told == []
    assert (folder / "report.html").exists() != is_there
    if not is_there:  # a run of an earlier version
        assert "running" not in (folder / "report.json").read_text()


def test_a_report_that_fails_costs_a_warning_and_not_the_run(tmp_path):
    run = SimpleNamespace(folder=tmp_path, warn=(told := []).append)
    train.report_page(SimpleNamespace(found=SimpleNamespace(rows={})), run, None)
    (warning,) = told
    assert "the report could not be written" in warning
