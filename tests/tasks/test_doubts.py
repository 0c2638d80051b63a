"""Videos that are both trained and validated on are named in every task, before a run begins."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from vidrec.commands.train import describe
from vidrec.data.clips.records import Records
from vidrec.data.ragged import Ragged
from vidrec.data.segments.records import SegmentRecords
from vidrec.tasks import detection, localization, recognition


def clips(*names):
    records = Records.pack(names, [0] * len(names))
    return SimpleNamespace(records=records, prefix="videos", num_classes=1)


def boxes(*names):
    return SimpleNamespace(records=SimpleNamespace(videos=names))


def segments(*names):
    times = torch.zeros(len(names), 3).numpy()
    empty = Ragged.group(times[:0, :2], times[:0, 0].astype(int), len(names))
    packed = SegmentRecords(Ragged.pack_text(names), times, empty, empty, [])
    return SimpleNamespace(records=packed)


TASKS = [(recognition, clips), (detection, boxes), (localization, segments)]


@pytest.mark.parametrize(("task", "data"), TASKS)
def test_shared_videos_are_counted_and_named(task, data):
    [said] = task.doubts({"train": data("a", "b", "c"), "val": data("b", "d", "c")})
    assert said.startswith("2 of 3 validation videos are training videos too")
    assert said.endswith(": b, c")
    assert not list(task.doubts({"train": data("a"), "val": data("b")}))
    assert not list(task.doubts({"test": data("a")}))


def test_training_warns_before_it_begins(compose):
    train, val = clips("a", "b"), clips("b", "c")
    loaders = SimpleNamespace(
        train=SimpleNamespace(dataset=train), val=SimpleNamespace(dataset=val),
        num_train=2, num_val=2,
    )  # fmt: skip
    warnings = []
    record = SimpleNamespace(notes=[])
    run = SimpleNamespace(folder="x", info=lambda text: None, warn=warnings.append, record=record)
    for rank in (0, 1):
        dist = SimpleNamespace(world=1, rank=rank, device=torch.device("cpu"))
        describe(compose("schedule.base_batch_size=null"), nn.Linear(1, 1), loaders, run, dist)
    [said] = warnings
    assert "1 of 2 validation videos are training videos too" in said
