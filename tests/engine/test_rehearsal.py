"""Own parts that do not fit each other fail before the first step, and nothing else changes."""

import copy
import random
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from tests.engine.toy_run import NUM_FEATURES, NUM_SAMPLES, NUM_VAL, Net, Rows, Score, loss_fn
from vidrec.config.schema import Precision
from vidrec.data.clips.collate import collate_clips
from vidrec.engine.job import Job
from vidrec.engine.rehearsal import has_own_parts, rehearse
from vidrec.errors import ConfigError


class Samples(Rows):
    collate = staticmethod(collate_clips)


def job(**changed):
    parts = {"net": Net(dropout=0.5, norm=True), "loss_fn": loss_fn, "metric": Score()}
    data = {"train": Samples(NUM_SAMPLES, 1), "val": Samples(NUM_VAL, 2)}
    data |= {name: changed.pop(name) for name in list(changed) if name in data}
    loaders = SimpleNamespace(**{k: SimpleNamespace(dataset=v) for k, v in data.items()})
    return cast(
        Job,
        SimpleNamespace(
            **(parts | changed),
            loaders=loaders,
            mixing=None,
            dist=SimpleNamespace(device=torch.device("cpu")),
            runtime=SimpleNamespace(precision=Precision.fp32),
        ),
    )


def state(net: nn.Module) -> list[Any]:
    weights = {name: value.clone() for name, value in net.state_dict().items()}
    draws = [torch.get_rng_state(), np.random.get_state()[1], random.getstate()]  # noqa: NPY002
    return [
        weights,
        [m.training for m in net.modules()],
        *draws,
        [p.grad for p in net.parameters()],
    ]


def test_nothing_changes():
    class Noisy(Samples):
        def __getitem__(self, key):
            np.random.rand(), random.random()  # noqa: NPY002
            return super().__getitem__(key)

    it = job(train=Noisy(NUM_SAMPLES, 1))
    it.net.eval()
    before = copy.deepcopy(state(it.net))
    rehearse(it)
    torch.testing.assert_close(state(it.net)[0], before[0], rtol=0, atol=0)
    after = state(it.net)
    assert all(np.array_equal(a, b) for a, b in zip(after[2:4], before[2:4], strict=True))
    assert after[4:] == before[4:]
    assert after[1] == before[1]
    assert it.metric.rows["index"].size == 0


class LogitsUnderAnotherName(Net):
    def forward(self, batch):
        return {"scores": super().forward(batch)["logits"]}


class PredictsLogits(Net):
    def predict(self, batch):
        return self(batch)


class WrongWidth(Net):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(NUM_FEATURES + 1, 3)


class ListOfSamples(Samples):
    collate = staticmethod(list)


class NoRow(Samples):
    collate = staticmethod(lambda samples: {"video": torch.zeros(2)})


class NoIndex(Score):
    rows = property(lambda self: {"prob": np.zeros(2)})  # type: ignore[assignment]


class OtherKey(Score):
    key = "f1"

    def compute(self, rows):
        return {"prob": 0.5}


class Broken(Score):
    def compute(self, rows):
        return rows["scores"]


def detached(outputs, batch):
    return {"loss": outputs["logits"].detach().sum()}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"net": WrongWidth()}, ["model.net (", "WrongWidth) failed on batch {video: float32 (2"]),
        (
            {"net": LogitsUnderAnotherName()},
            [
                "model.loss (builtins.function) failed on outputs {scores: float32 (2, 3)}",
                "'logits'",
            ],
        ),
        (
            {"net": PredictsLogits()},
            ["Score).update failed on predictions {logits: float32 (2, 3)}"],
        ),
        (
            {"loss_fn": lambda o, b: o["logits"].sum()},
            ["model.loss", "returned float32 ()", "'loss'"],
        ),
        (
            {"loss_fn": lambda o, b: {"loss": o["logits"].sum(1)}},
            ["returned 'loss' as float32 (2,)", "scalar"],
        ),
        ({"loss_fn": detached}, ["a loss without a gradient", "{logits: float32 (2, 3)}"]),
        (
            {"train": ListOfSamples(9, 1)},
            ["data.train", "ListOfSamples).collate returned list of 2"],
        ),
        (
            {"val": NoRow(9, 1)},
            ["data.val", "NoRow).collate returned {video: float32 (2,)}", "'index'"],
        ),
        (
            {"metric": NoIndex()},
            ["data.metric", "NoIndex).rows is {prob: float64 (2,)}", "'index'"],
        ),
        ({"metric": OtherKey()}, ["OtherKey).compute returned {prob: float}", "'f1', its key"]),
        ({"metric": Broken()}, ["Broken).compute failed on rows {index: int64 (2,)", "KeyError"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_the_part_that_does_not_fit_is_named(changed, expected):
    with pytest.raises(ConfigError) as error:
        rehearse(job(**changed))
    for text in [*expected, "docs/own_code.md"]:
        assert text in str(error.value)


def test_a_metric_may_refuse_so_few_samples():
    class All(Score):
        def compute(self, rows):
            if len(rows["index"]) < NUM_VAL:
                raise ValueError("not all samples were scored")
            return {"prob": 0.0}

    rehearse(job(metric=All()))


def test_samples_that_cannot_be_read_are_left_to_the_loop():
    rehearse(job(train=Samples(NUM_SAMPLES, 1, broken=(0, 1))))


@pytest.mark.parametrize(
    ("target", "own"), [("mylab.nets.Loss", True), ("vidrec.a.B", False), ("torch.nn.ReLU", False)]
)
def test_only_parts_of_other_packages_are_rehearsed(target, own):
    assert has_own_parts({"model": {"net": [{"_target_": target}]}}) == own
