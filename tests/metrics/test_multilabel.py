"""Figures of MMAction2 1.2.0 (how: tests/golden/accuracy.json.gz), definitions, cases by hand."""

import numpy as np
import pytest

from tests.paths import read_golden
from vidrec.metrics.multilabel import (
    MultiLabel,
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
    with pytest.raises(ValueError, match=r"for single labels use .*Accuracy"):
        MultiLabel().compute(rows(np.eye(3), [0, 1, 2]))
    with pytest.raises(ValueError, match="no sample has a label"):
        MultiLabel().compute(rows(np.eye(3), np.zeros((3, 3))))
    with pytest.raises(ValueError, match="key='top1' is not computed"):
        MultiLabel(key="top1")
