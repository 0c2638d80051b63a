"""One switch for several labels: the loss and the metric follow it, others are refused."""

from dataclasses import replace

import pytest

from vidrec.config import task_checks

LOSSES = "vidrec.losses.classification."
LISTS = ["model=tsn", "data=videos", "data.name=mine", "data.root=/x", "data.num_classes=3"]


@pytest.fixture(scope="module")
def several(compose):
    return compose(*LISTS, "data.multi_label=true")


@pytest.fixture(scope="module")
def single(compose):
    return compose(*LISTS)


def test_the_loss_the_metric_and_the_lists_follow_one_switch(several, single):
    expected = {True: ("BinaryCrossEntropy", "MultiLabel"), False: ("CrossEntropy", "Accuracy")}
    for conf in (several, single):
        targets = conf.model.loss["_target_"], conf.data.metric["_target_"]
        assert tuple(t.rsplit(".", 1)[1] for t in targets) == expected[conf.data.multi_label]
        assert conf.data.train["records"]["multi_label"] is conf.data.multi_label
        assert not list(task_checks.problems(conf))


def refusal(conf, **data):
    return " ".join(task_checks.problems(replace(conf, data=replace(conf.data, **data))))


def test_what_is_for_one_label_is_refused_where_there_are_several(several):
    accuracy = {"_target_": "vidrec.metrics.accuracy.Accuracy"}
    found = refusal(several, metric=accuracy)
    assert "data.multi_label=true" in found
    assert "set data.metric._target_=vidrec.metrics.multilabel.MultiLabel" in found
    for name in ("CrossEntropy", "ClassBalancedFocal"):
        model = replace(several.model, loss={"_target_": LOSSES + name})
        found = " ".join(task_checks.problems(replace(several, model=model)))
        assert f"set model.loss._target_={LOSSES}BinaryCrossEntropy" in found
    own = {"_target_": "mine.Metric"}
    assert not refusal(several, metric=own)


def test_what_is_for_several_labels_is_refused_where_there_is_one(single):
    found = refusal(single, metric={"_target_": "vidrec.metrics.multilabel.MultiLabel"})
    assert "set data.metric._target_=vidrec.metrics.accuracy.Accuracy" in found
    model = replace(single.model, loss={"_target_": f"{LOSSES}BinaryCrossEntropy"})
    binary = replace(single, model=model)
    assert f"set model.loss._target_={LOSSES}CrossEntropy" in " ".join(task_checks.problems(binary))
    # Mixing gives a sample several labels.
    mixed = replace(binary, schedule=replace(binary.schedule, mixing={"_target_": "x"}))
    assert not list(task_checks.problems(mixed))
    assert "data.multi_label=true too" in refusal(single, multi_hot=True)


def test_lists_of_another_number_of_labels_are_refused(single):
    train = single.data.train
    records = train["records"] | {"multi_label": True}
    found = refusal(single, train=train | {"records": records})
    assert "does not fit data.train.records" in found
    folders = {"_target_": "vidrec.data.clips.annotations.read_class_folders", "path": "/x"}
    found = refusal(single, multi_label=True, train=train | {"records": folders})
    assert "for several labels there are data/format=videos" in found
