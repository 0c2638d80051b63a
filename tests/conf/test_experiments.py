"""Every experiment composes, passes the startup validation, builds, and has the published numbers.

tests/golden/tsn_recipes.json holds the published configurations' own numbers (MMAction2 1.2.0,
configs/recognition/tsn).
"""

import json
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from vidrec import build, validation
from vidrec.config import TrainConf, conf_dir, register

STEMS = sorted(path.stem for path in Path(conf_dir(), "experiment").glob("*.yaml"))
RECIPES = json.loads((Path(__file__).parents[1] / "golden" / "tsn_recipes.json").read_text())
# Published names of the steps -> ours, where the class is named differently.
BACKBONES = {
    "ResNet": ("ResNet", None),
    "mmpretrain.MobileOne": ("MobileOne", None),
    "mmcls.ResNeXt": ("ImageBackbone", "resnext101_32x4d"),
    "timm.swin_base_patch4_window7_224": ("ImageBackbone", "swin_base_patch4_window7_224"),
    "torchvision.densenet161": ("ImageBackbone", "densenet161"),
}


def composed(*overrides: str) -> TrainConf:
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        return validation.check(compose("train", overrides=list(overrides)))


@pytest.mark.parametrize("stem", STEMS)
def test_experiment_composes_and_builds_on_the_meta_device(stem):
    conf = composed(f"experiment={stem}")
    with torch.device("meta"):
        net = build.build_net(conf.model)
        build.build_loss(conf.model)
    assert all(parameter.is_meta for parameter in net.parameters())
    optimizer = build.build_optimizer(net, conf.schedule, world=1)
    trained = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    assert trained == sum(p.numel() for p in net.parameters() if p.requires_grad)


def test_every_published_tsn_recipe_is_here():
    assert set(RECIPES) <= set(STEMS)


@pytest.mark.parametrize("stem", sorted(RECIPES))
def test_experiment_has_the_published_numbers(stem):
    conf, published = composed(f"experiment={stem}"), RECIPES[stem]
    model, data, schedule = conf.model, conf.data, conf.schedule
    backbone, name = BACKBONES[published["backbone"].pop("type")]
    if name == "resnext101_32x4d":
        published["backbone"].pop("depth")  # it is in the name
    assert model.net["backbone"]["_target_"].rsplit(".", 1)[1] == backbone
    assert model.net["backbone"].get("name") == name
    for key, value in published["backbone"].items():
        assert model.net["backbone"][key] == value, key
    if published["weights"] and "download.pytorch.org" not in published["weights"]:
        assert model.weights == published["weights"]
    head = {**model.net["cls_head"], "average_clips": model.net["average_clips"]}
    assert {key: head[key] for key in published["head"]} == published["head"]
    assert (model.net["mean"], model.net["std"]) == (published["mean"], published["std"])
    optimizer = dict(schedule.optimizer)
    assert optimizer.pop("_partial_") is True
    assert optimizer.pop("_target_") == f"torch.optim.{published['optimizer'].pop('type')}"
    assert optimizer == published["optimizer"]
    assert schedule.clip_norm == published["clip_norm"]
    for key in ("epochs", "val_begin", "val_interval", "base_batch_size"):
        assert getattr(schedule, key) == published[key], key
    (phase,), (expected,) = schedule.lr.values(), published["schedule"]
    assert phase["_target_"] == "vidrec.engine.lr.MultiStep"
    assert expected["type"] == "MultiStepLR"
    assert (phase["milestones"], phase["gamma"]) == (expected["milestones"], expected["gamma"])
    assert expected["end"] == schedule.epochs
    batch_sizes = (schedule.batch_size, schedule.val_batch_size, schedule.test_batch_size)
    for split, batch_size in zip(("train", "val", "test"), batch_sizes, strict=True):
        assert batch_size == published[split]["batch_size"], split
        node = getattr(data, split)
        assert node["records"]["path"] == published[split]["ann_file"]
        assert node["prefix"] == published[split]["prefix"]
        assert_same_pipeline(node, published[split]["pipeline"])


def assert_same_pipeline(node, published):
    sampling, *steps = published
    assert node["sampling"]["_target_"] == f"vidrec.data.sampling.{sampling.pop('type')}"
    ours = {key: value for key, value in node["sampling"].items() if key != "_target_"}
    assert ours == sampling
    assert len(node["steps"]) == len(steps)
    for (name, ours), theirs in zip(node["steps"].items(), steps, strict=True):
        assert ours["_target_"] == f"vidrec.data.transforms.{theirs.pop('type')}", name
        if "flip_label_map" in theirs:
            theirs["flip_label_map"] = {int(k): v for k, v in theirs["flip_label_map"].items()}
        assert {key: ours[key] for key in theirs} == theirs, name


def test_no_configuration_inherits_through_more_than_three_levels():
    """Primitive -> variant -> experiment; what a group file takes from its own folder counts."""
    for group in sorted(path for path in Path(conf_dir()).rglob("*") if path.is_dir()):
        for path in group.glob("*.yaml"):
            assert depth(path) <= 3, path


def depth(path: Path) -> int:
    """1 for a file without a parent in its own folder."""
    import yaml

    entries = (yaml.safe_load(path.read_text()) or {}).get("defaults", [])
    parents = [path.with_name(f"{entry}.yaml") for entry in entries if isinstance(entry, str)]
    return 1 + max((depth(parent) for parent in parents if parent.is_file()), default=0)
