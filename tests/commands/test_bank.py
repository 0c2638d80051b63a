"""`vidrec bank`: features of boxes by video and second, whatever the parts and the ranks."""

import copy
import json
import os
import shutil
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

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
    small = [*SMALL, f"data.root={root}", "data.prepare=null"]
    return cache(partial(compose, *small, config_name="bank"))


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
        bank.bank_run(replace(configured(*overrides), checkpoint=str(checkpoint), out=str(out)))
        return np.load(out), json.loads(out.with_suffix(".json").read_text())

    return write


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_bank_holds_the_features_of_every_box(configured, write, checkpoint, tmp_path, split):
    features, index = write(tmp_path / "b.npy", f"split={split}")
    conf = configured()
    val = conf.data.val | {"records": getattr(conf.data, split)["records"]}
    dataset = build.build_dataset(replace(conf.data, val=val), "val")
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
    parts = sorted(tmp_path.glob("parts.npy.*.parts/*.npz"))
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


@pytest.mark.parametrize("name", ["bank.npy", "bank.json"])
def test_a_file_that_the_command_did_not_write_stays(write, tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match=rf"{name} exists, and vidrec did not write it"):
        write(tmp_path / "bank.npy")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


def test_parts_are_known_by_their_content(configured, checkpoint, tmp_path, monkeypatch):
    """After more training, other boxes or another video, old parts are not taken."""
    conf = configured()
    settings = []
    monkeypatch.setattr(
        bank, "open_partial_results", lambda _, text: settings.append(text) or 1 / 0
    )

    def settings_with(**changes):
        with pytest.raises(ZeroDivisionError):
            bank.bank_run(replace(conf, **({"checkpoint": str(tmp_path / "last.pt")} | changes)))
        return settings[-1]

    weights = torch.load(checkpoint)
    torch.save(weights, tmp_path / "last.pt")
    first = settings_with()
    assert settings_with(checkpoint=str(checkpoint), out="b.npy") == first
    head = next(name for name in weights if name.startswith("roi_head.bbox_head"))
    torch.save(weights | {head: weights[head][:1]}, tmp_path / "last.pt")
    assert settings_with() == first  # features do not depend on it
    torch.save(weights | {"backbone.conv1.conv.weight": torch.ones(1)}, tmp_path / "last.pt")
    with pytest.raises(ValueError, match="would stay random"):
        settings_with()
    weights["backbone.conv1.conv.weight"][0] += 1e-3
    torch.save(weights, tmp_path / "last.pt")
    found = {first, settings_with(), settings_with(split="val")}
    found.add(settings_with(runtime=replace(conf.runtime, precision="bf16")))
    (video,) = list(Path(conf.data.root).rglob("*val*.mp4"))[:1]
    os.utime(video)
    found.add(settings_with(split="val"))
    assert len(found) == 5


def test_features_that_are_not_finite_are_refused(configured, checkpoint, tmp_path):
    weights = torch.load(checkpoint)
    shifted = {n: t + 1e6 for n, t in weights.items() if n.endswith("bn.bias")}
    torch.save(weights | shifted, tmp_path / "net.pt")  # float16 holds no more than 65504
    out = tmp_path / "b.npy"
    with pytest.raises(ValueError, match=r"boxes from .*,\d{4} on: features are not finite"):
        bank.bank_run(replace(configured(), checkpoint=str(tmp_path / "net.pt"), out=str(out)))
    assert not out.exists()


def test_more_unreadable_videos_than_allowed_are_an_error(write, root, tmp_path):
    copied = tmp_path / "data"
    shutil.copytree(root, copied)
    video = next(iter(copied.rglob("*val*.mp4")))
    content = bytearray(video.read_bytes())
    content[len(content) // 4 : -len(content) // 4] = bytes(len(content) // 2)
    video.write_bytes(content)
    out = tmp_path / "b.npy"
    given = [f"data.root={copied}", "split=val", "data.on_bad_video=skip"]
    with pytest.raises(RuntimeError, match=r"unreadable videos .* data\.max_bad_fraction=0\.001"):
        write(out, *given)
    assert not out.exists()


def test_the_configuration_stays_as_it_is(configured, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(bank, "write_parts", lambda *_: 1 / 0)  # nothing changes it from here on
    conf = replace(configured("split=train"), checkpoint=str(checkpoint), out=f"{tmp_path}/b.npy")
    before = copy.deepcopy(conf)
    with pytest.raises(ZeroDivisionError):
        bank.bank_run(conf)
    assert conf == before


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
