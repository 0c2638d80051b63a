"""Videos without labels: their predictions are written, and no score is invented."""

import csv
import json
from dataclasses import asdict, replace
from functools import cache

import numpy as np
import pytest
import torch

from vidrec import build
from vidrec.api import describe_model
from vidrec.commands.evaluate import evaluate_run
from vidrec.commands.train import train_run
from vidrec.data.boxes.person_proposals import read_proposals
from vidrec.data.synthetic.shapes import write_motions
from vidrec.data.synthetic.shapes_anet import write_shapes_anet
from vidrec.data.synthetic.shapes_ava import write_shapes_ava
from vidrec.tracking.record import RunRecord

QUIET = [
    "data.prepare=null", "runtime.num_workers=0", "runtime.device=cpu", "runtime.progress=false",
    "runtime.dashboard=none",
]  # fmt: skip
RECOGNITION = [
    "model=tsn_tiny", "data=motions", "model.clip.size=32", "model.clip.test_size=32",
    "data/views=center_crop", "model.net.backbone.num_stages=2",
    "model.net.cls_head.in_channels=128",
]  # fmt: skip
DETECTION = [
    "model=slowonly_ava_tiny", "data=shapes_ava", "model.net.backbone.base_channels=8",
    "model.net.roi_head.bbox_head.in_channels=32", "data.val.records.unannotated=true",
]  # fmt: skip
LOCALIZATION = ["model=bmn", "data=shapes_anet", "+model.net.hidden_dim_3d=16"]


@pytest.fixture(scope="module")
def evaluate(compose, tmp_path_factory):
    """`evaluate(task, *overrides, **given)`: scores of a random network of the configuration."""
    folder = tmp_path_factory.mktemp("checkpoints")
    configured = cache(compose)

    def evaluate(choices, *overrides, names=None, **given):
        conf = configured(*choices, *QUIET, *overrides, config_name="evaluate")
        torch.manual_seed(0)
        net = build.build_net(conf.model)
        about = asdict(describe_model(conf, names))
        torch.save({"net": net.state_dict(), "about": about}, folder / "net.pt")
        return evaluate_run(replace(conf, checkpoint=str(folder / "net.pt"), **given))

    return evaluate


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Embedded videos, with their list once without its labels."""
    root = tmp_path_factory.mktemp("videos") / "data"
    write_motions(str(root), num_train=4, num_val=3)
    lines = (root / "val.txt").read_text().splitlines()
    (root / "new.txt").write_text("".join(f"{line.rsplit(' ', 1)[0]}\n" for line in lines))
    return root


def test_scores_of_unlabelled_videos_are_those_of_labelled_ones(evaluate, videos, tmp_path, capsys):
    root = f"data.root={videos}"
    evaluate(RECOGNITION, root, dump=str(tmp_path / "labelled.csv"))
    capsys.readouterr()
    new = [root, f"data.val.records.path={videos}/new.txt"]
    with pytest.raises(ValueError, match=r"nothing can be scored, as .*new\.txt:1: .* dump=FILE"):
        evaluate(RECOGNITION, *new)
    with pytest.raises(ValueError, match=r"pictures= compares predictions with labels"):
        evaluate(RECOGNITION, *new, dump="x.csv", pictures=str(tmp_path / "pictures"))
    assert evaluate(RECOGNITION, *new, dump=str(tmp_path / "new.csv")) == {}
    assert "no labels: nothing is scored" in capsys.readouterr().out
    labelled, found = (
        list(csv.DictReader((tmp_path / name).open())) for name in ("labelled.csv", "new.csv")
    )
    assert [row.pop("label") for row in labelled] != [""] * 3
    assert [row.pop("label") for row in found] == [""] * 3
    assert found == labelled


def test_dumps_without_labels_are_fused(evaluate, compose, videos, tmp_path, capsys):
    new = [f"data.root={videos}", f"data.val.records.path={videos}/new.txt"]
    one = str(tmp_path / "a.npz")
    evaluate(RECOGNITION, *new, dump=one)
    conf = compose(*RECOGNITION, *QUIET, *new, config_name="evaluate")
    with pytest.raises(ValueError, match=r"nothing can be scored: .*a\.npz has no labels"):
        evaluate_run(replace(conf, score=[one, one]))
    assert evaluate_run(replace(conf, score=[one, one], dump=str(tmp_path / "fused.json"))) == {}
    fused = json.loads((tmp_path / "fused.json").read_text())
    with np.load(one) as arrays:
        np.testing.assert_allclose(
            [video["scores"] for video in fused["videos"]], 2 * arrays["scores"], rtol=1e-6
        )


@pytest.mark.parametrize("split", ["train", "val"])
def test_training_on_videos_without_labels_is_refused(compose, videos, tmp_path, split):
    new = [f"data.root={videos}", f"data.{split}.records.path={videos}/new.txt"]
    conf = compose(*RECOGNITION, *QUIET, *new)
    which = {"train": "training", "val": "validation"}[split]
    with pytest.raises(ValueError, match=rf"{which} needs labels, but .*new\.txt:1: .*no label"):
        train_run(conf, tmp_path, RunRecord())


def test_actions_at_key_frames_that_nobody_annotated(evaluate, tmp_path, capsys):
    """A list of them, or proposals alone: what an evaluation says of the same boxes."""
    root = tmp_path / "data"
    write_shapes_ava(str(root), num_train=1, num_val=1, key_frames=3)
    given = [f"data.root={root}", "data.metric.score_threshold=0"]
    evaluate(DETECTION, *given, dump=str(tmp_path / "labelled.csv"))
    names = [name.split(",") for name in read_proposals(str(root / "val_persons.pkl"))]
    (tmp_path / "list.csv").write_text("".join(f"{video},{time}\n" for video, time in names))
    capsys.readouterr()
    for file in (str(tmp_path / "list.csv"), "null"):
        bare = [*given, f"data.val.records.ann_file={file}"]
        with pytest.raises(ValueError, match=r"none of its 2 key frames has an annotated box"):
            evaluate(DETECTION, *bare)
        assert evaluate(DETECTION, *bare, dump=str(tmp_path / "new.csv")) == {}
        assert "no labels: nothing is scored" in capsys.readouterr().out
        found = (tmp_path / "new.csv").read_text()
        assert found.count("\n") > 4
        assert found == (tmp_path / "labelled.csv").read_text()


def test_segments_of_videos_that_nobody_annotated(evaluate, tmp_path, capsys):
    root = tmp_path / "data"
    write_shapes_anet(str(root), 2, 2)
    given = f"data.root={root}"
    evaluate(LOCALIZATION, given, dump=str(tmp_path / "labelled.json"))
    listed = json.loads((root / "val.json").read_text())
    for video in listed.values():
        del video["annotations"]
    (root / "new.json").write_text(json.dumps(listed))
    new = [given, f"data.val.records.path={root}/new.json"]
    capsys.readouterr()
    with pytest.raises(ValueError, match=r"none of its 2 videos has an annotated segment"):
        evaluate(LOCALIZATION, *new)
    assert evaluate(LOCALIZATION, *new, dump=str(tmp_path / "new.json")) == {}
    assert "no labels: nothing is scored" in capsys.readouterr().out
    assert (tmp_path / "new.json").read_text() == (tmp_path / "labelled.json").read_text()
