"""What a run directory that somebody else made may ask for."""

import sys
from pathlib import Path

import pytest

from vidrec.config.compose import conf_dir, groups
from vidrec.config.trust import NETWORKS, PACKAGES, untrusted_override, untrusted_targets
from vidrec.errors import ConfigError

HARMLESS = [
    "model=tsn", "++model.net.backbone.depth=18", "experiment=tsn_r50", "data/sampling=dense",
    "model/backbone@model.net.backbone=image", "~data.transforms.train.flip", "data.prepare.num=3",
    "+data.transforms.train.jitter={_target_: vidrec.data.transforms.photometric.ColorJitter}",
    "data.root='my videos'", "+schedule/param_groups=no_decay", "schedule.lr.drop.milestones.0=30",
]  # fmt: skip
HARMFUL = [
    "hydra.run.dir=/home/me", "++hydra.callbacks.x._target_=os.system", "hydra/launcher=slurm",
    "model@hydra.callbacks=tsn", "data@_global_=videos", "dump=/etc/passwd", "++out=x",
    "pictures=x", "score=[x.npz]", "checkpoint=/x.pt", "trust=[os]", "run=elsewhere", "-m",
    "--config-dir=/tmp", "data=../../tmp/evil", "experiment=/tmp/evil", "data/sampling=../evil",
    "runtime.device=cuda",
]  # fmt: skip


@pytest.mark.parametrize("override", HARMLESS)
def test_choices_of_what_is_trained_are_repeated(override):
    assert untrusted_override(override, groups([Path(conf_dir())])) is None


@pytest.mark.parametrize("override", HARMFUL)
def test_outputs_hydra_and_files_elsewhere_are_not_for_a_run_directory(override):
    assert untrusted_override(override, groups([Path(conf_dir())]))


@pytest.mark.parametrize(
    "target",
    [
        "os.system", "torch.load", "torch.hub.load", "hydra.utils.instantiate", "subprocess.run",
        "builtins.eval", "timm.create_model", "torchvision.datasets.utils.download_url",
        "torch.nn.modules.module.torch.load", "vidrec.build.os.system",
        "vidrec.data.video.image_folder.os.remove", "vidrec.files.safe_pickle.load",
        "vidrec.data.synthetic.shapes.write_shapes",
        "vidrec.data.boxes.feature_bank.write_bank", "vidrec.data.video.writer.write_video",
        "vidrec.models.backbones.image._timm",
        "vidrec.commands.extract.extract_run", "vidrec_evil.models.Net", "vidrec.models_evil.Net",
    ],
)  # fmt: skip
def test_a_target_that_could_do_more_is_refused_at_any_depth(target):
    node = {"_target_": target}
    for tree in ({"data": node}, {"data": {"test": {"steps": {"zz": [{"a": node}]}}}}):
        (problem,) = untrusted_targets(tree, PACKAGES)
        assert target in problem


def test_networks_losses_and_readers_are_not_refused():
    named = [
        "vidrec.models.recognizer.Recognizer3D", "vidrec.models.backbones.video.VideoNetwork",
        "vidrec.losses.bmn.BMNLoss", "vidrec.metrics.accuracy.Accuracy", "torch.optim.AdamW",
        "vidrec.data.clips.annotations.read_video_list", "vidrec.engine.lr.Cosine", "torch.nn.GELU",
        "vidrec.data.clips.dataset.VideoDataset", "torchvision.ops.MLP",
    ]  # fmt: skip
    tree = {name.replace(".", "_"): {"_target_": name} for name in named}
    assert not [*untrusted_targets(tree, PACKAGES)]
    assert [*untrusted_targets({"net": {"_target_": "vidrec.losses.bmn.BMNLoss"}}, NETWORKS)]


def test_nothing_is_imported_for_a_target_that_is_refused(tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text("class Net: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    tree = {"net": {"_target_": "stranger.Net"}}
    (problem,) = untrusted_targets(tree, PACKAGES)
    assert "trust=[stranger]" in problem
    assert "stranger" not in sys.modules
    assert not [*untrusted_targets(tree, [*PACKAGES, "stranger"])]
    sys.modules.pop("stranger")


def test_every_shipped_target_passes(compose):
    for model, data in (("tsn", "ucf101"), ("slowonly_ava_tiny", "ava21"), ("bmn", "activitynet")):
        compose(f"model={model}", f"data={data}", packages=PACKAGES)
    with pytest.raises(ConfigError, match=r"transforms\.test\.zz\._target_: .*torch\.load"):
        compose(
            "+data.transforms.test.zz={_target_: torch.load, f: x.pt, weights_only: false}",
            packages=PACKAGES,
        )
