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
    for wrong in ("{", "[]", '{"results": {"b": [{"segment": [1, 2]}]}}'):
        path.write_text(wrong)
        with pytest.raises(ValueError, match="not a file of results"):
            read_results(path, RECORDS)


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
    with pytest.raises(ValueError, match="not a file of video-level labels"):
        read_video_labels(tmp_path / "labels.json", 1)
