"""AR@AN against the official procedure, written out video by video and threshold by threshold."""

import math

import numpy as np
import pytest
import torch

from tests.paths import GOLDEN
from vidrec.data.segments.records import SegmentRecord, SegmentRecords
from vidrec.metrics.activitynet_json import SegmentDetections
from vidrec.metrics.average_recall import AverageRecall, average_recall
from vidrec.metrics.segment_results import THRESHOLDS

CASES = ("max_avg", "recall", "proposals_per_video", "auc")


def table(videos):
    return SegmentRecords.pack(
        [
            SegmentRecord(
                name, 100.0, 100.0, 100.0, np.array(s, float).reshape(-1, 2), np.zeros(len(s), int)
            )
            for name, s in videos.items()
        ],
        ["x"],
    )


def drawn(seed, num_videos=30, most=120):
    rng = np.random.default_rng(seed)
    videos, found = {}, []
    for i in range(num_videos):
        videos[f"v_{i}"] = np.sort(rng.uniform(0, 100, (int(rng.integers(1, 5)), 2)), axis=1)
        count = int(rng.choice([0, 3, most // 2, most]))
        segments = np.sort(rng.uniform(0, 100, (count, 2)), axis=1)
        hits = videos[f"v_{i}"][rng.integers(len(videos[f"v_{i}"]), size=count)]
        near = rng.uniform(size=(count, 1)) < 0.4
        segments = np.where(near, hits + rng.normal(0, 3, (count, 2)), segments)
        found.append(np.column_stack([np.sort(segments, axis=1), rng.uniform(size=count)]))
    records = table(videos)
    rows = np.repeat(np.arange(num_videos), [len(f) for f in found])
    joined = np.concatenate(found)
    return records, found, SegmentDetections(rows, joined[:, :2], joined[:, 2])


def official(records, found, max_avg, thresholds=THRESHOLDS):
    """Recall (T, 100) and proposals (100,), one video, threshold and share after the other."""
    total, num = sum(map(len, found)), len(records)
    max_avg = total / num if max_avg is None else max_avg
    ratio = max_avg * num / total
    scores, retrieved = [], 0
    for record, proposals in zip(records, found, strict=True):
        best = proposals[proposals[:, 2].argsort(kind="stable")[::-1]][:, :2].astype(np.float32)
        truth = record.segments.astype(np.float32)
        keep = min(int(len(best) * ratio), len(best))
        if len(best) == 0:
            scores.append(np.zeros((len(truth), 1)))
            continue
        retrieved += keep
        iou = np.zeros((len(truth), keep))
        for g, (start, end) in enumerate(truth):
            for p, (low, high) in enumerate(best[:keep]):
                inner = max(min(end, high) - max(start, low), np.float32(0))
                iou[g, p] = float(inner) / ((high - low) + (end - start) - inner)
        scores.append(iou)
    shares = np.arange(1, 101) / 100 * (max_avg * num / retrieved)
    recall = np.zeros((len(thresholds), 100))
    positives = sum(len(s) for s in scores)
    for t, threshold in enumerate(thresholds):
        for j, share in enumerate(shares):
            for s in scores:
                count = min(int(s.shape[1] * share), s.shape[1])
                recall[t, j] += (s[:, :count] >= threshold).any(axis=1).sum()
    return recall / positives, shares * retrieved / num


@pytest.mark.parametrize("max_avg", [100, 20, None])
def test_recall_is_the_official_one(max_avg):
    records, found, detections = drawn(0)
    recall, average = average_recall(
        detections, records.segments.values, records.segments.row_of_value, max_avg
    )
    expected, proposals = official(records, found, max_avg)
    np.testing.assert_allclose(recall, expected, atol=1e-12)
    np.testing.assert_allclose(average, proposals, rtol=1e-12)
    assert 0.2 < recall[0, -1] < 1


def test_recall_and_area_are_the_reference_s():
    """Of 9,205 proposals with scores of three decimals, in the order of the reference's sort.

    Its sort leaves the order of equal scores to the processor, which moves the area by 2.5e-5.
    """
    with np.load(GOLDEN / "average_recall.npz") as golden:
        detections = SegmentDetections(golden["rows"], golden["segments"], golden["scores"])
        truth, rows = golden["truth"], golden["truth_rows"]
        cases = list(zip(*(golden[k] for k in CASES), strict=True))
    for max_avg, expected, proposals, area in cases:
        recall, average = average_recall(
            detections, truth, rows, None if math.isnan(max_avg) else max_avg
        )
        np.testing.assert_allclose(recall.mean(axis=0), expected, atol=1e-12)
        np.testing.assert_allclose(average, proposals, rtol=1e-12)
        auc = np.trapezoid(recall.mean(axis=0), average) / average[-1]
        assert 100 * auc == pytest.approx(area, abs=1e-9)


def test_scores_are_means_over_thresholds():
    records, found, detections = drawn(1)
    scores = AverageRecall(records, per_tiou=True).score(detections)
    expected, proposals = official(records, found, 100)
    mean = expected.mean(axis=0)
    for n in (1, 5, 10, 100):
        assert scores[f"AR@{n}"] == pytest.approx(mean[n - 1], abs=1e-12)
    area = np.trapezoid(mean, proposals) / proposals[-1]
    assert scores["AUC"] == pytest.approx(area, abs=1e-12)
    assert scores["AR@100/0.75"] == pytest.approx(expected[5, -1])


def test_perfect_and_empty():
    records = table({"a": [[10, 20], [30, 50]], "b": [[0, 90]], "c": []})
    perfect = SegmentDetections(
        np.array([0, 0, 1]), records.segments.values, np.array([0.9, 0.8, 0.7])
    )
    assert AverageRecall(records).score(perfect)["AR@100"] == 1
    nothing = SegmentDetections(np.zeros(0, int), np.zeros((0, 2)), np.zeros(0))
    assert AverageRecall(records).score(nothing) == dict.fromkeys(
        ("AUC", "AR@1", "AR@5", "AR@10", "AR@100"), 0.0
    )
    # Without any truth there is nothing to measure.
    assert math.isnan(AverageRecall(table({"a": []})).score(perfect)["AUC"])


def test_an_overlap_at_the_threshold_is_enough():
    # 7 / 10 is less than 0.7 in float32.
    records = table({"a": [[0, 10]]})
    found = SegmentDetections(np.zeros(1, int), np.array([[0.0, 7.0]]), np.ones(1))
    recall, _ = average_recall(
        found, records.segments.values, records.segments.row_of_value, 1, np.array([0.7, 0.71])
    )
    assert recall[:, -1].tolist() == [1, 0]


def test_equal_scores_keep_their_order():
    records = table({"a": [[10, 20]]})
    segments = np.array([[10.0, 20.0], [50.0, 60.0]])
    for order, expected in (([0, 1], 1.0), ([1, 0], 0.0)):
        found = SegmentDetections(np.zeros(2, int), segments[order], np.ones(2))
        metric = AverageRecall(records, at=(1, 2), max_avg_proposals=2)
        assert metric.score(found)["AR@1"] == expected


def test_the_official_order_of_equal_scores():
    """Of at most 16 scores, which the official sort orders by insertion, as a stable one."""
    records, found, detections = drawn(3, num_videos=40, most=16)
    for proposals in found:
        proposals[:, 2] = proposals[:, 2].round(1)
    tied = detections._replace(scores=detections.scores.round(1))
    truth = records.segments.values, records.segments.row_of_value
    expected, _ = official(records, found, 100)
    recall, _ = average_recall(tied, *truth, 100, ties="official")
    np.testing.assert_allclose(recall, expected, atol=1e-12)
    assert abs(average_recall(tied, *truth, 100)[0] - expected).max() > 0.01
    by_name = AverageRecall(records, ties="official").score(tied)
    assert by_name["AR@5"] == pytest.approx(expected.mean(axis=0)[4], abs=1e-12)


def test_other_thresholds():
    records, found, detections = drawn(4)
    thresholds = np.linspace(0.3, 0.7, 5)
    expected, _ = official(records, found, 100, thresholds)
    metric = AverageRecall(records, thresholds=[0.3, 0.4, 0.5, 0.6, 0.7], per_tiou=True)
    scores = metric.score(detections)
    assert scores["AR@10"] == pytest.approx(expected.mean(axis=0)[9], abs=1e-12)
    assert [scores[f"AR@100/0.{t}0"] for t in range(3, 8)] == pytest.approx(expected[:, -1])


def predictions(records, detections, rows):
    """What a net says of some samples, one for each video."""
    own = [np.flatnonzero(detections.rows == row) for row in rows]
    most = 120
    segments, scores = np.zeros((len(rows), most, 2)), np.zeros((len(rows), most))
    for i, which in enumerate(own):
        segments[i, : len(which)] = detections.segments[which]
        scores[i, : len(which)] = detections.scores[which]
    index = torch.tensor(rows)
    return (
        {
            "segments": torch.from_numpy(segments),
            "scores": torch.from_numpy(scores),
            "count": torch.tensor([len(which) for which in own]),
        },
        {"index": index, "row": index},
    )


@pytest.mark.parametrize("world", [1, 2, 4])
def test_any_number_of_ranks_gives_the_same_numbers(world):
    """Each rank sees its share of the predictions, and all of the truth."""
    records, _, detections = drawn(2)
    expected = AverageRecall(records).score(detections)
    metrics = [AverageRecall(records) for _ in range(world)]
    for rank, metric in enumerate(metrics):
        metric.update(*predictions(records, detections, list(range(rank, len(records), world))))
    gathered = {
        name: np.concatenate([metric.rows[name] for metric in metrics]) for name in metrics[0].rows
    }
    for metric in metrics:
        assert metric.compute(gathered) == pytest.approx(expected, abs=1e-12)
    if world > 1:
        # What a rank alone would say, were the truth its share as well.
        alone = metrics[0].compute(metrics[0].rows)
        assert alone["AR@100"] < 0.8 * expected["AR@100"]


def test_a_rank_without_samples_has_empty_rows():
    metric = AverageRecall(table({"a": [[1, 2]]}))
    assert {len(values) for values in metric.rows.values()} == {0}
    with pytest.raises(ValueError, match="no video was scored"):
        metric.compute(metric.rows)


def test_wrong_options():
    records = table({"a": [[1, 2]]})
    with pytest.raises(ValueError, match="key='AR@7' is not computed"):
        AverageRecall(records, key="AR@7")
    for wrong in ([], [0.5, 0.4], [0.5, 0.5], [0, 0.5], [0.5, 1.1], [math.nan], [[0.5]]):
        with pytest.raises(ValueError, match="must be a list of increasing numbers"):
            AverageRecall(records, thresholds=wrong)
    with pytest.raises(ValueError, match="ties='last': choose first or official"):
        AverageRecall(records, ties="last")
    with pytest.raises(ValueError, match="max_avg_proposals=50"):
        AverageRecall(records, max_avg_proposals=50)
