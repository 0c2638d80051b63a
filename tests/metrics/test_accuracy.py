"""Figures of MMAction2 1.2.0 (how: tests/golden/accuracy.json.gz), definitions, cases by hand."""

import numpy as np
import pytest
import torch

from tests.paths import read_golden
from vidrec.metrics.accuracy import (
    Accuracy,
    class_accuracy,
    confusion_matrix,
    mean_class_accuracy,
    top_k_accuracy,
)

GOLDEN = read_golden("accuracy.json.gz")


@pytest.fixture(scope="module")
def reference():
    random = np.random.RandomState(0)  # the figures were made from this generator
    scores, label = random.randn(200, 20), random.randint(0, 20, 200)
    ties = np.round(scores)
    scores[np.arange(200), label] += 1
    return scores, label, ties


def by_definition(scores, label, k):
    """The range of top-k over every order of equal scores: all ties lost, all ties won."""
    own = scores[np.arange(len(label)), label][:, None]
    better, equal = (scores > own).sum(1), (scores == own).sum(1) - 1
    return (better + equal < k).mean(), (better < k).mean()


def test_top_k_equals_the_reference_and_the_definition(reference):
    scores, label, ties = reference
    expected = GOLDEN["topk_1_3_5_10"]
    assert top_k_accuracy(scores, label, (1, 3, 5, 10)) == pytest.approx(expected, abs=1e-12)
    for k, value in zip((1, 3, 5), top_k_accuracy(ties, label, (1, 3, 5)), strict=True):
        low, high = by_definition(ties, label, k)
        assert low < value < high


def test_top_k_of_ties_is_numpys_order_as_in_the_reference(reference):
    _, label, ties = reference
    features = pytest.importorskip("numpy._core._multiarray_umath").__cpu_features__
    if not features.get("AVX512_SKX") or np.__version__ < "2":
        pytest.skip("numpy sorts equal numbers differently on this processor")
    expected = GOLDEN["topk_ties_1_3_5"]
    assert top_k_accuracy(ties, label, (1, 3, 5)) == pytest.approx(expected, abs=1e-12)


def test_top_k_with_more_k_than_classes_is_refused():
    with pytest.raises(ValueError, match="top-5 does not exist with 4 classes"):
        top_k_accuracy(np.eye(4), np.arange(4), (1, 5))


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
def test_confusion_matrix_equals_the_reference(reference, normalize):
    scores, label, _ = reference
    matrix = confusion_matrix(scores.argmax(1), label, 20, normalize)
    assert np.abs(matrix - GOLDEN[f"confusion_{normalize}"]).max() < 1e-12


def test_confusion_matrix_keeps_classes_that_do_not_occur():
    case = GOLDEN["confusion_gap_labels"]
    matrix = confusion_matrix(np.array(case["pred"]), np.array(case["real"]), 10)
    occurring = sorted({*case["pred"], *case["real"]})
    assert matrix[np.ix_(occurring, occurring)].tolist() == case["cm"]
    assert matrix.sum() == len(case["pred"])
    for normalize in ("true", "pred", "all"):
        shares = confusion_matrix(np.array(case["pred"]), np.array(case["real"]), 10, normalize)
        assert np.isfinite(shares).all()


def test_confusion_matrix_refuses_what_it_has_no_cell_for():
    with pytest.raises(ValueError, match="label 3 is not one of the 3 classes"):
        confusion_matrix(np.array([0, 1]), np.array([0, 3]), 3)
    with pytest.raises(ValueError, match="predicted class -1"):
        confusion_matrix(np.array([0, -1]), np.array([0, 2]), 3)
    with pytest.raises(ValueError, match="normalize='rows'"):
        confusion_matrix(np.array([0]), np.array([0]), 3, "rows")


def test_class_accuracy_equals_the_best_and_worst_classes_of_the_reference(reference):
    scores, label, _ = reference
    accuracy = class_accuracy(confusion_matrix(scores.argmax(1), label, 20))
    listed = GOLDEN["top_k_classes_accurate"] + GOLDEN["top_k_classes_inaccurate"]
    best, worst = np.sort(accuracy)[:-6:-1], np.sort(accuracy)[:4]
    for number, value in listed:
        assert accuracy[number] == pytest.approx(value, abs=1e-12)
    assert np.allclose(best, [value for _, value in GOLDEN["top_k_classes_accurate"]])
    assert np.allclose(worst, [value for _, value in GOLDEN["top_k_classes_inaccurate"][:4]])


def test_mean_class_accuracy_with_and_without_a_class_that_has_no_samples(reference):
    scores, label, _ = reference
    expected = GOLDEN["mean_class_accuracy"]
    assert mean_class_accuracy(scores, label) == pytest.approx(expected, abs=1e-12)
    rest = label != 3
    expected = GOLDEN["mean_class_accuracy_missing_class"]
    got = mean_class_accuracy(scores[rest], label[rest], absent_as_zero=True)
    assert got == pytest.approx(expected, abs=1e-12)
    # The mean over 19 classes instead of 20, the twentieth of which counted as 0.
    assert mean_class_accuracy(scores[rest], label[rest]) == pytest.approx(expected * 20 / 19)


def test_collected_batches_give_what_all_samples_at_once_give(reference):
    scores, label, _ = reference
    metric = Accuracy(topk=[1, 5])
    for start in range(0, 200, 33):
        rows = slice(start, start + 33)
        predictions = {"scores": torch.tensor(scores[rows], dtype=torch.float64)}
        index = torch.arange(200)[rows]
        metric.update(predictions, {"index": index, "label": torch.tensor(label[rows])})
    result = metric.compute(metric.rows)
    assert result == {
        "top1": pytest.approx(GOLDEN["topk_1_3_5_10"][0]),
        "top5": pytest.approx(GOLDEN["topk_1_3_5_10"][2]),
        "mean_class": pytest.approx(GOLDEN["mean_class_accuracy"]),
    }
    metric.reset()
    assert len(metric.rows["index"]) == 0


def rows(scores, label, index=None):
    scores = np.array(scores, dtype=np.float32)
    index = np.arange(len(scores)) if index is None else np.array(index)
    return {"index": index, "scores": scores, "label": np.array(label)}


def test_half_precision_scores_are_kept_exactly():
    metric = Accuracy(topk=[1])
    scores = torch.tensor([[0.5, 0.25]], dtype=torch.bfloat16)
    metric.update({"scores": scores}, {"index": torch.tensor([7]), "label": torch.tensor([0])})
    assert metric.rows["scores"].tolist() == [[0.5, 0.25]]
    assert metric.rows["index"].tolist() == [7]


def test_k_beyond_the_number_of_classes_is_left_out():
    assert Accuracy(topk=[1, 5]).compute(rows(np.eye(4), range(4))) == {
        "top1": 1.0,
        "mean_class": 1.0,
    }
    with pytest.raises(ValueError, match="key='top5' does not exist with 4 classes"):
        Accuracy(topk=[1, 5], key="top5").compute(rows(np.eye(4), range(4)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (rows(np.eye(3), [0, 1, 2], index=[0, 4, 4]), "scored more than once, the first is row 4"),
        (rows([[0, 1], [np.nan, 1]], [0, 1], index=[3, 9]), "not finite, the first is row 9"),
        (rows(np.zeros((0, 0)), []), "no sample was scored"),
        (rows(np.eye(2), [0, 2]), "labels range from 0 to 2, but the network scores 2 classes"),
        (rows(np.eye(2), np.eye(2)), "several classes for a sample; use .*MultiLabel"),
    ],
)
def test_rows_that_would_give_a_wrong_number_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Accuracy().compute(given)


def test_a_key_that_is_not_computed_is_refused_at_once():
    with pytest.raises(ValueError, match="key='top3' is not computed"):
        Accuracy(topk=[1, 5], key="top3")
    with pytest.raises(ValueError, match="key='mean_class'"):
        Accuracy(mean_class=False, key="mean_class")
