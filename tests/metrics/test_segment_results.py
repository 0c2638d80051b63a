import json

import numpy as np
import pytest
import torch

from vidrec.data.segments.records import SegmentRecord, SegmentRecords
from vidrec.metrics.average_recall import AverageRecall
from vidrec.metrics.segment_results import Merge

RECORDS = SegmentRecords.pack(
    [
        SegmentRecord(name, 50.0, 50.0, 50.0, np.array([[5.0, 20.0]]), np.array([0]))
        for name in ("v_a", "b")
    ],
    ["x"],
)


def updated(metric, rows):
    """rows: [(video, [(start, end, score)])], a sample each."""
    most = max(len(found) for _, found in rows)
    table = np.zeros((len(rows), most, 3))
    for place, (_, found) in zip(table, rows, strict=True):
        place[: len(found)] = found
    found = {
        "segments": torch.from_numpy(table[..., :2]),
        "scores": torch.from_numpy(table[..., 2]),
        "count": torch.tensor([len(found) for _, found in rows]),
    }
    metric.update(
        found, {"index": torch.arange(len(rows)), "row": torch.tensor([row for row, _ in rows])}
    )
    return metric


def test_written_results_are_read_again_and_score_the_same(tmp_path):
    metric = updated(
        AverageRecall(RECORDS), [(0, [(5, 19, 0.5), (1, 2, 0.25)]), (1, [(4.125, 20, 0.75)])]
    )
    path = tmp_path / "out" / "results.json"
    metric.dump(metric.rows, path)
    content = json.loads(path.read_text())
    assert content["results"]["a"][0] == {"score": 0.5, "segment": [5.0, 19.0]}
    assert set(content["results"]) == {"a", "b"}
    assert metric.score_file(path) == metric.compute(metric.rows)
    assert [file.name for file in path.parent.iterdir()] == ["results.json"]


def test_sequences_of_one_video_are_joined():
    rows = [(0, [(0, 10, 0.9)]), (0, [(0.5, 10, 0.8), (30, 40, 0.7)])]
    plain = updated(AverageRecall(RECORDS), rows)
    assert plain.detections(plain.rows).scores.tolist() == [0.9, 0.8, 0.7]
    joined = updated(AverageRecall(RECORDS, merge=Merge(0.4, 0.5, 0.9, 100)), rows)
    found = joined.detections(joined.rows)
    # The second covers the first: it falls behind.
    np.testing.assert_allclose(found.segments, [[0, 10], [30, 40], [0.5, 10]])
    np.testing.assert_allclose(found.scores, [0.9, 0.7, 0.8 * np.exp(-(0.95**2) / 0.4)])


def test_scores_that_are_no_numbers_are_refused():
    metric = updated(AverageRecall(RECORDS), [(0, [(0, 1, np.nan)])])
    with pytest.raises(ValueError, match="1 samples have scores that are not finite"):
        metric.compute(metric.rows)
