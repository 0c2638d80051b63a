import json

import numpy as np
import pytest

from vidrec.data.segments.records import SegmentRecord, SegmentRecords
from vidrec.metrics.activitynet_json import (
    SegmentDetections,
    read_results,
    read_video_labels,
    write_results,
)

RECORDS = SegmentRecords.pack(
    [
        SegmentRecord(name, 50.0, 50.0, 50.0, np.array([[5.0, 20.0]]), np.array([0]))
        for name in ("v_a", "b")
    ],
    ["x"],
)


def test_results_of_others(tmp_path):
    path = tmp_path / "r.json"
    entries = [{"segment": [1, 2], "score": 0.5, "label": "x"}]
    path.write_text(json.dumps({"results": {"v_b": entries, "unknown": entries}}))
    found = read_results(path, RECORDS)
    assert found.rows.tolist() == [1, -1]
    assert found.labels == ["x", "x"]
    path.write_text(json.dumps({"results": {"other": entries}}))
    with pytest.raises(ValueError, match="none of the 2 annotated videos"):
        read_results(path, RECORDS)
    for wrong in ("[]", '{"results": []}', '{"results": {"b": 1}}', '{"results": {"b": [1]}}'):
        path.write_text(wrong)
        with pytest.raises(ValueError, match=r"r\.json is not a file of results"):
            read_results(path, RECORDS)
    path.write_text("{")
    with pytest.raises(ValueError, match=r"r\.json:1: not JSON"):
        read_results(path, RECORDS)


RIGHT = {"segment": [1.0, 2.0], "score": 0.5, "label": "x"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"segment": [1.0]}, r"the segment \[1\.0\]; expected two finite numbers"),
        ({"segment": [1.0, 2.0, 3.0, 4.0]}, "expected two finite numbers"),
        ({"segment": []}, "expected two finite numbers"),
        ({"segment": None}, "expected two finite numbers"),
        ({"segment": [1.0, float("nan")]}, r"\[1\.0, NaN\]; expected two finite numbers"),
        ({"segment": [2.0, 1.0]}, r"the segment \[2, 1\], which ends before it starts"),
        ({"score": float("nan")}, "the score nan; expected a finite number"),
        ({"score": float("inf")}, "the score inf"),
        ({"score": "0.5"}, "the score '0.5'"),
        ({"score": None}, "the score None"),
        ({"label": 3}, "the label 3; expected the name of a class"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path, change, reason):
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"results": {"a": [RIGHT], "b": [RIGHT, RIGHT | change, RIGHT]}}))
    with pytest.raises(ValueError, match=rf"r\.json: b has .*{reason}"):
        read_results(path, RECORDS)


@pytest.mark.parametrize("without", range(3))
def test_one_missing_label_is_named(tmp_path, without):
    entries = [dict(RIGHT) for _ in range(3)]
    del entries[without]["label"]
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"results": {"b": entries}}))
    with pytest.raises(ValueError, match=r"r\.json: b has a segment with(out)? a label, unlike"):
        read_results(path, RECORDS)


def test_classes_that_are_not_annotated(tmp_path, caplog):
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"results": {"b": [RIGHT, RIGHT | {"label": "X"}]}}))
    assert read_results(path, RECORDS).labels == ["x", "X"]
    assert "1 of 2 labels count for nothing" in caplog.text
    path.write_text(json.dumps({"results": {"b": [RIGHT | {"label": "X"}]}}))
    with pytest.raises(ValueError, match=r"none of its 1 labels is annotated: 'X' is no annotated"):
        read_results(path, RECORDS)


def test_unknown_videos_are_counted(tmp_path, caplog):
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"results": {"b": [RIGHT], "c": [RIGHT]}}))
    read_results(path, RECORDS)
    assert "1 of 2 videos are not annotated, the first is c" in caplog.text


def test_two_videos_of_one_name_are_refused(tmp_path):
    records = SegmentRecords.pack([RECORDS[0], RECORDS[0]._replace(name="a")], ["x"])
    found = SegmentDetections(np.array([0, 1]), np.ones((2, 2)), np.ones(2))
    with pytest.raises(ValueError, match="v_a and a are annotated"):
        write_results(found, records, tmp_path / "r.json")


def test_labels_come_back(tmp_path):
    segments = np.array([[1.0, 2.5], [0.125, 30.0]])
    given = SegmentDetections(np.array([0, 1]), segments, np.array([0.75, 0.1]), ["x", "y"])
    write_results(given, RECORDS, tmp_path / "r.json")
    found = read_results(tmp_path / "r.json", RECORDS)
    assert found.labels == ["x", "y"]
    for ours, theirs in zip(found[:3], given[:3], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_labels_of_videos_in_the_form_of_the_evaluation_server(tmp_path):
    content = {"results": {"v_a": [{"label": "x", "score": 0.1}, {"label": "y", "score": 0.9}]}}
    (tmp_path / "labels.json").write_text(json.dumps(content))
    assert read_video_labels(tmp_path / "labels.json", 1) == {"a": [("y", 0.9)]}
    (tmp_path / "labels.json").write_text("[]")
    with pytest.raises(ValueError, match="not a file of results"):
        read_video_labels(tmp_path / "labels.json", 1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"results": {"a": [0.5]}, "class": ["x", "y"]}, "a has no list of 2 scores"),
        ({"results": {"a": [0.5, None]}, "class": ["x", "y"]}, "a has the score None"),
        ({"results": {"a": [0.5]}, "class": "x"}, "expected a list of names"),
        ({"results": {"a": [{"label": "x", "score": float("nan")}]}}, "a has the score nan"),
        ({"results": {"a": [{"score": 1.0}]}}, "a has the label None"),
        ({"results": {"a": [], "v_a": []}}, "v_a is the same video"),
    ],
)
def test_wrong_labels_of_videos_are_named(tmp_path, content, reason):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"labels\.json: .*{reason}|labels\.json: {reason}"):
        read_video_labels(path, 1)
