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


def official(detections, records, thresholds):
    """Average precision (T, K) by the official script, one detection after the other."""
    result = np.zeros((len(thresholds), len(records.classes)))
    for k, name in enumerate(records.classes):
        own = np.array([label == name for label in detections.labels])
        scores, rows = detections.scores[own], detections.rows[own]
        segments = detections.segments[own]
        assert len(scores) <= 16  # sorted by insertion, as a stable sort orders
        order = scores.argsort(kind="stable")[::-1]
        truth = {row: record.segments[record.labels == k] for row, record in enumerate(records)}
        num_truth = sum(map(len, truth.values()))
        for t, threshold in enumerate(thresholds):
            taken, correct = set(), []
            for row, (start, end) in zip(rows[order].tolist(), segments[order], strict=True):
                overlaps = []
                for g, (low, high) in enumerate(truth[row]):
                    inner = max(min(end, high) - max(start, low), 0)
                    overlaps.append((inner / (high - low + end - start - inner), g))
                hits = [(o, g) for o, g in overlaps if o >= threshold and (row, g) not in taken]
                correct.append(bool(hits))
                taken |= {(row, max(hits)[1])} if hits else set()
            found = np.cumsum(correct)
            precision = np.maximum.accumulate((found / np.arange(1, len(found) + 1))[::-1])[::-1]
            result[t, k] = precision[np.array(correct)].sum() / num_truth
    return result


def drawn(seed, num=48):
    rng = np.random.default_rng(seed)
    videos = []
    for i in range(12):
        start = rng.uniform(0, 90, 5)
        segments = np.stack([start, start + rng.uniform(2, 10, 5)], axis=1)
        labels = rng.integers(3, size=5)
        videos.append(SegmentRecord(f"v_{i}", 100.0, 100.0, 100.0, segments, labels))
    records = SegmentRecords.pack(videos, ["a", "b", "c"])
    rows = rng.integers(12, size=num)
    near = np.stack([videos[row].segments[rng.integers(5)] for row in rows])
    segments = np.sort(near + rng.normal(0, 1.5, (num, 2)), axis=1)
    labels = [records.classes[i % 3] for i in range(num)]
    return SegmentDetections(rows, segments, rng.uniform(size=num).round(1), labels), records


@pytest.mark.parametrize("given", [[0.3, 0.4, 0.5, 0.6, 0.7], [0.1, 0.75], [0.5]])
def test_any_thresholds_and_the_official_order_of_equal_scores(given):
    detections, records = drawn(0)
    expected = official(detections, records, given)
    assert 0.02 < expected.mean() < 0.95
    metric = SegmentMAP(records, thresholds=given, ties="official")
    scores = metric.score(detections)
    assert list(scores) == ["mAP", *(f"mAP@{t:.2f}" for t in given)]
    assert scores["mAP"] == pytest.approx(expected.mean(), abs=1e-9)
    for threshold, values in zip(given, expected, strict=True):
        assert scores[f"mAP@{threshold:.2f}"] == pytest.approx(values.mean(), abs=1e-9)
    first = SegmentMAP(records, thresholds=given).score(detections)
    assert abs(first["mAP"] - expected.mean()) > 1e-3


def test_the_default_thresholds_are_activitynet_s(golden):
    records, file = golden
    scores = SegmentMAP(records).score_file(file)
    assert len(scores) == 11
    given = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    assert (
        SegmentMAP(records, thresholds=given).thresholds.tolist()
        == np.linspace(0.5, 0.95, 10).tolist()
    )
    with pytest.raises(ValueError, match="must be a list of increasing numbers"):
        SegmentMAP(records, thresholds=[0.7, 0.3])


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
