"""Figures of MMAction2 1.2.0 (how: tests/golden/accuracy.json.gz), definitions, cases by hand."""

import numpy as np
import pytest

from tests.paths import read_golden
from vidrec.metrics.multilabel import (
    MultiLabel,
    average_precision,
    mean_average_precision,
    mmit_mean_average_precision,
)

GOLDEN = read_golden("accuracy.json.gz")


@pytest.fixture(scope="module")
def reference():
    random = np.random.RandomState(0)  # the figures were made from this generator
    scores = random.randn(200, 20)
    random.randint(0, 20, 200)
    label = (random.rand(200, 20) < 0.15).astype(np.int64)
    return scores + 1.5 * label, label


def by_definition(scores, positive):
    """Each threshold adds a rectangle: the recall gained there times the precision there."""
    area, recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = scores >= threshold
        precision = positive[chosen].mean()
        area += (positive[chosen].sum() / positive.sum() - recall) * precision
        recall = positive[chosen].sum() / positive.sum()
    return area


def test_mean_average_precision_equals_the_reference(reference):
    scores, label = reference
    got = mean_average_precision(scores, label)
    assert got == pytest.approx(GOLDEN["mean_average_precision"], abs=1e-9)
    ties = mean_average_precision(np.round(scores), label)
    assert ties == pytest.approx(GOLDEN["mean_average_precision_ties"], abs=1e-9)
    without = label.copy()
    without[:, 4] = 0
    expected = GOLDEN["mean_average_precision_class4_without_positives"]
    assert mean_average_precision(scores, without) == pytest.approx(expected, abs=1e-9)


def test_mmit_mean_average_precision_equals_the_reference_and_leaves_unlabelled_rows_out(reference):
    scores, label = reference
    expected = GOLDEN["mmit_mean_average_precision_rows_with_labels"]
    assert (label.sum(1) == 0).any()
    assert mmit_mean_average_precision(scores, label) == pytest.approx(expected, abs=1e-9)
    ties = mmit_mean_average_precision(np.round(scores), label)
    assert ties == pytest.approx(GOLDEN["mmit_ties"], abs=1e-9)


def test_average_precision_equals_its_definition_with_ties_in_any_order():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, (30, 15)) / 5
    positive = rng.random((30, 15)) < 0.3
    positive[:, 0] |= ~positive.any(axis=1)
    got = average_precision(scores, positive)
    expected = [by_definition(s, p) for s, p in zip(scores, positive, strict=True)]
    assert np.abs(got - expected).max() < 1e-12
    order = rng.permutation(15)
    assert np.abs(average_precision(scores[:, order], positive[:, order]) - got).max() < 1e-12


def test_average_precision_by_hand():
    scores = np.array(
        [[0.9, 0.8, 0.7, 0.6], [0.9, 0.8, 0.7, 0.6], [0.5, 0.5, 0.5, 0.5], [1, 2, 3, 4]]
    )
    positive = np.array([[1, 1, 0, 0], [0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=bool)
    got = average_precision(scores, positive)
    assert got[:3].tolist() == [1.0, (1 / 2 + 2 / 4) / 2, 1 / 4]
    assert np.isnan(got[3])


def rows(scores, label):
    return {
        "index": np.arange(len(scores)),
        "scores": np.asarray(scores, dtype=np.float32),
        "label": np.asarray(label, dtype=np.float32),
    }


def test_both_measures_from_collected_rows(reference):
    scores, label = reference
    result = MultiLabel().compute(rows(scores, label))
    assert result == {
        "mAP": pytest.approx(GOLDEN["mean_average_precision"], abs=1e-9),
        "mmit_mAP": pytest.approx(GOLDEN["mmit_mean_average_precision_rows_with_labels"], abs=1e-9),
    }


def test_labels_of_another_kind_and_keys_of_another_metric_are_refused():
    with pytest.raises(ValueError, match=r"for one label use .*Accuracy"):
        MultiLabel().compute(rows(np.eye(3), [0, 1, 2]))
    with pytest.raises(ValueError, match="no sample has a label"):
        MultiLabel().compute(rows(np.eye(3), np.zeros((3, 3))))
    with pytest.raises(ValueError, match="key='top1' is not computed"):
        MultiLabel(key="top1")
