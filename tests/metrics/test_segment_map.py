"""tests/golden/localization.json.gz was computed with MMAction2 1.2.0."""

import json

import numpy as np
import pytest

from tests.paths import read_golden
from vidrec.data.segments.annotations import read_segments
from vidrec.data.segments.records import SegmentRecord, SegmentRecords
from vidrec.metrics.activitynet_json import SegmentDetections, read_results
from vidrec.metrics.segment_map import SegmentMAP, segment_average_precision

GOLDEN = read_golden("localization.json.gz")["detection"]


@pytest.fixture
def golden(tmp_path):
    truth = {name: {"duration": 1e4, **video} for name, video in GOLDEN["gt"].items()}
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "found.json").write_text(json.dumps({"results": GOLDEN["results"]}))
    return read_segments(str(tmp_path / "gt.json")), tmp_path / "found.json"


def test_average_precision_is_the_published_one(golden):
    records, file = golden
    precision = segment_average_precision(read_results(file, records), records)
    np.testing.assert_allclose(precision, GOLDEN["per_class"], atol=1e-9)
    scores = SegmentMAP(records).score_file(file)
    assert scores["mAP@0.50"] == pytest.approx(GOLDEN["mAP"][0], abs=1e-9)
    assert scores["mAP@0.95"] == pytest.approx(GOLDEN["mAP"][9], abs=1e-9)
    assert scores["mAP"] == pytest.approx(np.mean(GOLDEN["mAP"]), abs=1e-9)


def one_video():
    segments = np.array([[0.0, 10.0], [0.0, 12.0]])
    return SegmentRecords.pack(
        [SegmentRecord("v_a", 50.0, 50.0, 50.0, segments, np.array([0, 0]))], ["run"]
    )


def test_a_segment_is_found_once():
    records = one_video()
    # Both overlap the first segment most; the second takes the next one, a third finds none left.
    found = SegmentDetections(
        np.zeros(3, int), np.array([[0.0, 10.0]] * 3), np.array([0.9, 0.8, 0.7]), ["run"] * 3
    )
    precision = segment_average_precision(found, records, np.array([0.5, 0.9]))
    assert precision[:, 0].tolist() == [1.0, 0.5]


def test_video_labels_make_detections_of_proposals(tmp_path):
    records = one_video()
    content = {"results": {"a": [0.1, 0.6, 0.3]}, "class": ["swim", "run", "jump"]}
    (tmp_path / "labels.json").write_text(json.dumps(content))
    metric = SegmentMAP(records, video_labels=str(tmp_path / "labels.json"), topk=2)
    proposals = SegmentDetections(
        np.array([0, -1]), np.array([[0.0, 10.0], [1.0, 2.0]]), np.array([0.5, 1])
    )
    labelled = metric.labelled(proposals)
    assert labelled.labels == ["run", "jump"]
    np.testing.assert_allclose(labelled.scores, [0.3, 0.15])
    assert metric.score(proposals)["mAP@0.50"] == pytest.approx(0.5)


def test_labels_of_other_videos_or_classes_are_noticed(tmp_path, caplog):
    path = tmp_path / "labels.json"
    for content, reason in (
        ({"b": [{"label": "run", "score": 1}]}, "no labels of any of the annotated videos"),
        (
            {"a": [{"label": "runs", "score": 1}]},
            "'runs' is no annotated class; did you mean 'run'",
        ),
    ):
        path.write_text(json.dumps({"results": content}))
        with pytest.raises(ValueError, match=rf"labels\.json.*{reason}"):
            SegmentMAP(one_video(), video_labels=str(path))


def test_segments_without_labels_say_what_is_missing():
    found = SegmentDetections(np.zeros(1, int), np.zeros((1, 2)), np.ones(1))
    with pytest.raises(ValueError, match=r"data\.metric\.video_labels"):
        SegmentMAP(one_video()).score(found)


def test_labels_that_nobody_annotated_count_for_nothing():
    found = SegmentDetections(np.zeros(1, int), np.array([[0.0, 10.0]]), np.ones(1), ["fly"])
    assert SegmentMAP(one_video()).score(found)["mAP"] == 0


def test_without_true_segments_nothing_is_defined(caplog):
    records = SegmentRecords.pack(
        [SegmentRecord("v_a", 50.0, 50.0, 50.0, np.zeros((0, 2)), np.zeros(0, int))], ["run"]
    )
    found = SegmentDetections(np.zeros(1, int), np.array([[0.0, 10.0]]), np.ones(1), ["run"])
    assert all(np.isnan(value) for value in SegmentMAP(records).score(found).values())
    assert "average precision is not defined" in caplog.text
