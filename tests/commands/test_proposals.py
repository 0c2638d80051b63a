"""`vidrec proposals`: one file for each video, none of other networks or of somebody else."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from vidrec import build
from vidrec.commands.proposals import proposals_run
from vidrec.data.synthetic.shapes_anet import write_shapes_anet


@pytest.fixture(scope="module")
def conf(compose, tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "shapes_anet"
    write_shapes_anet(str(root), num_train=2, num_val=1, length=28, channels=4)
    return compose(
        "model=bsn_tem", "model.net.tem_hidden_dim=8", f"data.root={root}", "data.prepare=null",
        "data.temporal_dim=28", "data.feat_dim=4", "runtime.num_workers=0", "runtime.device=cpu",
        "schedule.test_batch_size=2", "runtime.progress=false", config_name="proposals",
    )  # fmt: skip


@pytest.fixture
def write(conf, tmp_path):
    """`write(weights, **changes)`: the proposals that the command wrote, by the files' names."""
    torch.manual_seed(0)
    initial = build.build_net(conf.model).state_dict()

    def write(weights=initial, **changes):
        path, out = tmp_path / "net.pt", tmp_path / "out"
        torch.save(weights, path)
        proposals_run(replace(conf, **({"checkpoint": str(path), "out": str(out)} | changes)))
        return {file.name: dict(np.load(file)) for file in sorted(out.glob("*.npz"))}

    write.initial = initial
    return write


def test_every_video_has_its_proposals(write, conf, tmp_path, capsys):
    found = write()
    listed = [
        name
        for split in ("train", "val")
        for name in json.loads((tmp_path / conf.data.root / f"{split}.json").read_text())
    ]
    assert list(found) == [f"{name}.npz" for name in sorted(listed)]
    assert len(found) == 3
    assert all(len(content["proposals"]) for content in found.values())
    assert capsys.readouterr().out.endswith("out: proposals of 3 videos\n")
    np.testing.assert_equal(write(), found)  # the same command may write them again


def test_proposals_of_another_network_or_other_settings_are_refused(write):
    before = write()
    trained = {name: tensor + 1e-3 for name, tensor in write.initial.items()}
    with pytest.raises(
        ValueError, match=r"out was made with other settings \(weights\); use anoth"
    ):
        write(trained)
    with pytest.raises(ValueError, match=r"other settings \(top_k 1000, not 3\)"):
        write(top_k=3)
    np.testing.assert_equal(write(), before)


def test_files_of_somebody_else_stay(write, conf, tmp_path):
    name = next(iter(json.loads((tmp_path / conf.data.root / "val.json").read_text())))
    mine = tmp_path / "out" / f"{name}.npz"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(FileExistsError, match=rf"{mine} exists, and it was not written by this"):
        write()
    assert [(path.name, path.read_text()) for path in mine.parent.iterdir()] == [
        (mine.name, "mine")
    ]


@pytest.mark.parametrize("name", ["../v", "/tmp/v"])
def test_names_in_the_lists_do_not_lead_out_of_the_folder(write, conf, tmp_path, monkeypatch, name):
    monkeypatch.setattr("vidrec.commands.proposals.names_of", lambda _: [name])
    with pytest.raises(ValueError, match=r"is not within the output folder "):
        write()
    assert not (tmp_path / "out").exists()


def test_missing_weights_and_windows_are_told(write, conf):
    part = {k: v for k, v in write.initial.items() if not k.endswith("bias")}
    with pytest.raises(ValueError, match=r"missing weights would stay random"):
        write(part)
    windows = {"_target_": "vidrec.data.segments.dataset.SlidingWindows", "stride": 10}
    data = replace(conf.data, train=conf.data.train | {"windows": windows})
    with pytest.raises(ValueError, match=r"data\.windows cuts videos"):
        write(data=data)


def test_scores_that_are_not_finite_are_refused(write, tmp_path, monkeypatch):
    def broken(net, batch):
        nan = torch.full((len(batch["feature"]), 28), float("nan"))
        return {"action": nan, "start": nan, "end": nan}

    monkeypatch.setattr("vidrec.models.localizer.TEM.forward", broken)
    with pytest.raises(
        ValueError, match=r"v_train_\d+: the scores of its boundaries are not finite"
    ):
        write()
    assert not list((tmp_path / "out").glob("*.npz"))


def test_one_name_for_two_videos_is_refused(write, conf, tmp_path):
    lists = {}
    for split in ("train", "val"):
        source = json.loads((tmp_path / conf.data.root / f"{split}.json").read_text())
        lists[split] = source
    (name, video), *_ = lists["train"].items()
    other = json.loads(json.dumps(video))
    other["annotations"][0]["segment"][0] += 0.5
    (tmp_path / "val.json").write_text(json.dumps({name: other}))
    records = conf.data.val["records"] | {"path": str(tmp_path / "val.json")}
    with pytest.raises(ValueError, match=rf"{name} is listed twice, with other segments"):
        write(data=replace(conf.data, val=conf.data.val | {"records": records}))
    (tmp_path / "val.json").write_text(json.dumps({name: video}))
    assert len(write(data=replace(conf.data, val=conf.data.val | {"records": records}))) == 2
