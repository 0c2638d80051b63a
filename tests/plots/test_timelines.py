import numpy as np
import pytest
from PIL import Image

from tests.plots.pixels import box, kept_figures, texts
from vidrec.data.segments.records import SegmentRecord, SegmentRecords
from vidrec.metrics.activitynet_json import SegmentDetections
from vidrec.plots import timelines
from vidrec.plots.timelines import draw_all_segments, draw_segments

RECORDS = SegmentRecords.pack(
    [
        SegmentRecord(name, 50.0, 50.0, 50.0, np.array([[5.0, 20.0]]), np.array([0]))
        for name in ("v_a", "folder/b", "c")
    ],
    ["jump $ rope"],
)


def colours(path):
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
    return {tuple(colour) for colour in pixels.tolist()}


def test_a_picture_for_every_video_with_segments(tmp_path):
    found = SegmentDetections(
        np.array([0, 0, 1]), np.array([[4.0, 19], [30, 40], [0, 50]]), np.array([0.9, 0.1, 0.5])
    )
    draw_all_segments(found, RECORDS, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*")) == ["folder_b.png", "v_a.png"]
    assert (47, 109, 179) in colours(tmp_path / "v_a.png")  # the best one in full colour


def test_videos_whose_files_would_have_one_name_get_two(tmp_path):
    records = SegmentRecords.pack(
        [RECORDS[0]._replace(name=name) for name in ("a b", "a/b")], ["x"]
    )
    found = SegmentDetections(np.array([0, 1]), np.array([[4.0, 19], [30, 40]]), np.ones(2))
    draw_all_segments(found, records, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*")) == ["a_b.png", "a_b_1.png"]


def test_names_and_scores_of_what_is_detected(tmp_path, monkeypatch):
    figures = kept_figures(monkeypatch, timelines)
    found = SegmentDetections(
        np.array([0, 0]), np.array([[4.0, 19], [30, 40]]), np.array([0.9, 0.1]), ["run", "swim"]
    )
    draw_all_segments(found, RECORDS, tmp_path)
    written = [text.strip() for text in texts(figures[0])]
    assert {"0.90 run", "0.10 swim", "truth", "detected", r"jump \$ rope", "v_a, 50 s"} <= {
        *written
    }


def sheet(monkeypatch, tmp_path, segments, duration=50.0):
    """The axes of one video with these true segments."""
    figures = kept_figures(monkeypatch, timelines)
    segments = np.array(segments, float).reshape(-1, 2)
    record = SegmentRecord(
        "v", duration, duration, duration, segments, np.zeros(len(segments), np.int64)
    )
    records = SegmentRecords.pack([record], ["a name of fourteen"])
    rows = {
        "index": np.arange(1),
        "row": np.array([0]),
        "segments": np.array([[[5.0, 20.0], [0, 0]]]),
        "scores": np.array([[0.5, 0.0]]),
        "count": np.array([1]),
    }
    draw_segments(rows, records, tmp_path / "sheet.png", "mine test")
    assert "mine test" in texts(figures[0])
    (axes,) = figures[0].axes
    return axes


def test_without_ground_truth_there_is_no_row_for_it(monkeypatch, tmp_path):
    axes = sheet(monkeypatch, tmp_path, [])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["detected"]
    assert len(axes.patches) == 1


def test_true_segments_that_overlap_lie_below_each_other(monkeypatch, tmp_path):
    axes = sheet(monkeypatch, tmp_path, [[20, 30], [0, 25], [30, 40], [5, 24]])
    truth = [patch for patch in axes.patches if patch.get_y() < 0]
    boxes = [box(patch).shrunk(0.9, 0.9) for patch in truth]
    assert len(boxes) == 4
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_name_that_does_not_fit_into_its_segment_stands_behind_it(monkeypatch, tmp_path):
    axes = sheet(monkeypatch, tmp_path, [[10, 11], [30, 49]])
    names = [text for text in axes.texts if "name" in text.get_text()]
    (short, long), (bar, other) = names, [p for p in axes.patches if p.get_y() < 0]
    assert box(short).x0 >= box(bar).x1 - 1
    assert box(short).x1 < box(other).x0
    assert box(other).x0 < box(long).x0 < box(long).x1 < box(other).x1


def test_a_video_without_a_length_or_a_detection(monkeypatch, tmp_path):
    figures = kept_figures(monkeypatch, timelines)
    records = SegmentRecords.pack([RECORDS[0]._replace(duration=0.0)], ["x"])
    none = np.zeros(0)
    rows = {"index": np.arange(1), "row": np.arange(1), "count": np.zeros(1, int)}
    draw_segments(
        rows | {"segments": np.zeros((1, 0, 2)), "scores": np.zeros((1, 0))},
        records,
        tmp_path / "a.png",
    )
    assert "no segment" in texts(figures[0])
    with pytest.raises(ValueError, match="no sequence to show"):
        draw_segments({"index": none}, records, tmp_path / "b.png")


def test_a_sheet_of_sequences(tmp_path):
    rows = {
        "index": np.arange(3),
        "row": np.array([0, 1, 2]),
        "segments": np.tile([5.0, 20.0], (3, 4, 1)),
        "scores": np.full((3, 4), 0.5),
        "count": np.array([4, 1, 0]),
    }
    draw_segments(rows, RECORDS, tmp_path / "sheet.png")
    assert (47, 109, 179) in colours(tmp_path / "sheet.png")
