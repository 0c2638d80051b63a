"""What a report lists of a task, counted by hand."""

import numpy as np

from vidrec.metrics.charts import Bars
from vidrec.report.results import table_of_bars
from vidrec.tasks import recognition
from vidrec.tasks.task import Evaluated


def found(label, predicted, names):
    rows = {"index": np.arange(len(label)), "label": np.array(label)}
    rows["scores"] = np.eye(len(names))[predicted]
    return Evaluated(None, rows, None, names)


def test_confused_pairs_come_with_their_share_of_the_true_class():
    # cat: two of four are dogs, one is a bird; dog: one of two is a cat; bird: right; emu: none.
    label, predicted = [0, 0, 0, 0, 1, 1, 2], [0, 1, 1, 2, 1, 0, 2]
    pairs, classes = recognition.tables(found(label, predicted, ["cat", "dog", "bird", "emu"]))
    assert pairs.rows == [("cat", "dog", 2, 0.5), ("cat", "bird", 1, 0.25), ("dog", "cat", 1, 0.5)]
    assert classes.rows == [("cat", 4, 0.25), ("dog", 2, 0.5), ("bird", 1, 1.0)]


def test_a_network_that_is_always_right_confuses_nothing():
    pairs, _ = recognition.tables(found([0, 1], [0, 1], ["cat", "dog"]))
    assert (list(pairs.rows), pairs.note) == ([], "No video was taken for another class.")


def test_several_labels_have_no_pairs():
    own = found([0, 1], [0, 1], ["cat", "dog"])
    own.rows["label"] = np.eye(2)
    assert list(recognition.tables(own)) == []


def test_a_chart_of_classes_is_a_table_with_the_weakest_first():
    bars = Bars("average precision", {"a": 0.5, "b": float("nan"), "c": 0.25})
    table = table_of_bars(bars)
    assert table.rows == [("c", 0.25), ("a", 0.5)]
    assert table.note == "The weakest first. 1 more have no sample."
