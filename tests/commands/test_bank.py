"""`vidrec bank`: features of boxes by video and second, whatever the parts and the ranks."""

import json
from functools import partial

import numpy as np
import pytest
import torch

from vidrec import build
from vidrec.commands import bank
from vidrec.data.boxes.collate import collate_boxes
from vidrec.data.boxes.feature_bank import FeatureBank
from vidrec.data.synthetic.shapes_ava import write_shapes_ava

SMALL = [
    "model=slowonly_ava_tiny", "model.clip.size=48", "model.clip.short_side=48",
    "model.clip.frames=4", "runtime.num_workers=0", "runtime.device=cpu",
    "runtime.progress=false", "schedule.val_batch_size=3",
]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "shapes_ava"
    write_shapes_ava(str(root), num_train=2, num_val=1)
    return root


@pytest.fixture(scope="module")
def configured(compose, root):
    """`configured(*overrides)`: the configuration of the command for small clips."""
    return partial(compose, *SMALL, f"data.root={root}", "data.prepare=null", config_name="bank")


@pytest.fixture(scope="module")
def checkpoint(configured, tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "net.pt"
    torch.save(build.build_net(configured().model).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def write(configured, checkpoint):
    """`write(out, *overrides)`: the bank that the command wrote, and its index."""

    def write(out, *overrides):
        bank.bank_run(configured(f"checkpoint={checkpoint}", f"out={out}", *overrides))
        return np.load(out), json.loads(out.with_suffix(".json").read_text())

    return write


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_bank_holds_the_features_of_every_box(configured, write, checkpoint, tmp_path, split):
    features, index = write(tmp_path / "b.npy", f"split={split}")
    conf = configured()
    conf.data.val = conf.data.val | {"records": getattr(conf.data, split)["records"]}
    dataset = build.build_dataset(conf.data, "val")
    net = build.build_net(conf.model)
    net.load_state_dict(torch.load(checkpoint))
    net.eval()
    assert sum(len(seconds) for seconds in index.values()) == len(dataset)
    for row, frame in enumerate(dataset.records):
        start, stop = index[frame.video][str(int(frame.timestamp))]
        expected = net.features(collate_boxes([dataset[row]])).numpy()
        assert stop - start == len(frame.proposals)
        np.testing.assert_allclose(features[start:stop], expected, rtol=2e-3, atol=1e-3)
    read = FeatureBank(str(tmp_path / "b.npy"), window_size=4, max_num_sampled_feat=3)
    assert read.features(frame.video, frame.timestamp, np.random.default_rng(0)).any()


def test_an_interrupted_run_goes_on_where_it_was(write, tmp_path, monkeypatch):
    whole, index = write(tmp_path / "whole.npy")
    monkeypatch.setattr(bank, "PART", 3)
    monkeypatch.setattr(bank, "join_parts", lambda *_: 1 / 0)  # stopped before the end
    out = tmp_path / "parts.npy"
    with pytest.raises(ZeroDivisionError):
        write(out)
    parts = sorted((tmp_path / "parts.npy.parts").glob("*.npz"))
    assert len(parts) == 3
    parts[1].unlink()
    kept = parts[0].stat().st_mtime_ns
    monkeypatch.undo()
    monkeypatch.setattr(bank, "PART", 3)
    seen = []
    plain = bank.join_parts
    monkeypatch.setattr(
        bank, "join_parts", lambda *a: seen.append(parts[0].stat().st_mtime_ns) or plain(*a)
    )
    again, same_index = write(out)
    assert seen == [kept]
    np.testing.assert_array_equal(again, whole)
    assert same_index == index
    assert sorted(path.name for path in tmp_path.glob("parts*")) == ["parts.json", "parts.npy"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["split=all"], r"split='all'; did you mean 'val'"),
        (["out=bank.npz"], r"out=bank\.npz does not end with \.npy"),
        (["checkpoint=null"], r"missing weights"),
    ],
)
def test_bad_requests_are_told(configured, overrides, message):
    with pytest.raises(ValueError, match=message):
        bank.bank_run(configured("checkpoint=x", *overrides))
