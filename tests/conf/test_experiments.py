"""Every experiment composes, passes the startup validation, builds, and has the published numbers.

tests/golden/recognition_recipes.json.gz holds what the published configurations say (MMAction2
1.2.0, configs/recognition).
"""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conf.recipes import (
    CLASSES,
    assert_same_arguments,
    assert_same_phases,
    composed,
    one_per_family,
    published_multipliers,
    with_defaults,
)
from tests.paths import GOLDEN
from vidrec import build
from vidrec.config.compose import conf_dir
from vidrec.config.schema import TrainConf

STEMS = sorted(path.stem for path in Path(conf_dir(), "experiment").glob("*.yaml"))
FIGURES = GOLDEN / "recognition_recipes.json.gz"
RECIPES = json.loads(gzip.decompress(FIGURES.read_bytes()))
TRAINED = sorted(stem for stem in RECIPES if "optim" in RECIPES[stem])


@pytest.mark.parametrize("stem", one_per_family(STEMS))
def test_experiment_composes_and_builds_on_the_meta_device(stem):
    conf = composed(f"experiment={stem}")
    with torch.device("meta"):
        net = build.build_net(conf.model)
        build.build_loss(conf.model)
    assert all(parameter.is_meta for parameter in net.parameters())
    optimizer = build.build_optimizer(net, conf.schedule, world=1)
    rates = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    assert set(rates) == {id(p) for p in net.parameters() if p.requires_grad}
    if stem in TRAINED:
        optim = RECIPES[stem]["optim"]
        base = optim["optimizer"]
        wanted = published_multipliers(net, optim)
        for name, parameter in net.named_parameters():
            if parameter.requires_grad:
                group, (lr, decay) = rates[id(parameter)], wanted[name]
                ours = (group["lr"] / base["lr"], group["weight_decay"] / base["weight_decay"])
                assert ours == pytest.approx((lr, decay)), name


def test_every_published_recipe_is_here():
    assert set(RECIPES) <= set(STEMS)


@pytest.mark.parametrize("stem", one_per_family(RECIPES))
def test_experiment_has_the_published_network(stem):
    conf, published = composed(f"experiment={stem}"), RECIPES[stem]
    net = conf.model.net
    # The network trained on images and videos: what sees videos is an ordinary one.
    recognizer = published["recognizer"].replace("RecognizerOmni", "Recognizer3D")
    assert net["_target_"].rsplit(".", 1)[1] == recognizer
    assert_same_arguments(net["backbone"], published["backbone"], CLASSES["BACKBONES"])
    if "neck" in published:
        assert_same_arguments(net["neck"], published["neck"], CLASSES["NECKS"])
    head = dict(published["head"])
    assert net["average_clips"] == head.pop("average_clips", None)
    smoothing = head.pop("label_smooth_eps", 0.0)
    if "train" in published:
        assert conf.model.loss.get("label_smoothing", 0.0) == smoothing
    loss = head.pop("loss_cls", {"type": "CrossEntropyLoss"})
    assert loss == {"type": "CrossEntropyLoss"}
    assert_same_arguments(net["cls_head"], head, CLASSES["HEADS"])
    assert (net["mean"], net["std"]) == (published["mean"], published["std"])
    checkpoint = published.get("load_from") or weights_of(published["backbone"])
    checkpoint = CLASSES["WEIGHTS"].get(checkpoint, checkpoint)
    if checkpoint and "download.pytorch.org" in checkpoint:
        assert conf.model.weights.startswith("torchvision://")
    elif checkpoint and not checkpoint.startswith("mmcls://"):
        assert conf.model.weights == checkpoint


def weights_of(backbone: dict[str, Any]) -> str | None:
    """What a published backbone starts from."""
    given = backbone.get("pretrained") or (backbone.get("init_cfg") or {}).get("checkpoint")
    return given if isinstance(given, str) else None


@pytest.mark.parametrize("stem", one_per_family(TRAINED))
def test_experiment_has_the_published_schedule(stem):
    conf, published = composed(f"experiment={stem}"), RECIPES[stem]
    schedule, optim = conf.schedule, published["optim"]
    target, partial = schedule.optimizer["_target_"], schedule.optimizer["_partial_"]
    assert partial is True
    assert target == f"torch.optim.{optim['optimizer']['type']}"
    for key in optim["optimizer"].keys() - {"type"}:
        assert schedule.optimizer[key] == optim["optimizer"][key], key
    assert schedule.clip_norm == optim.get("clip_grad", {}).get("max_norm")
    assert str(conf.runtime.precision) == (
        "fp16" if optim.get("type") == "AmpOptimWrapper" else "fp32"
    )
    train = published["train_cfg"]
    assert schedule.epochs == train["max_epochs"]
    assert schedule.val_begin == train.get("val_begin", 1)
    assert schedule.val_interval == train["val_interval"]
    if published["base_batch_size"]:
        assert schedule.base_batch_size == published["base_batch_size"]
    assert_same_phases(conf, published["schedule"])


@pytest.mark.parametrize("stem", one_per_family(RECIPES))
def test_experiment_has_the_published_data(stem):
    conf, published = composed(f"experiment={stem}"), RECIPES[stem]
    if "train" in published:
        assert_same_mixing(conf, published.get("blending"))
    sizes = conf.schedule.batch_size, conf.schedule.val_batch_size, conf.schedule.test_batch_size
    for split, batch_size in zip(("train", "val", "test"), sizes, strict=True):
        if split not in published:
            continue
        expected, node = published[split], getattr(conf.data, split)
        if split == "train" or "train" in published:
            assert batch_size == expected["batch_size"], split
        assert_same_lists(node, expected["lists"])
        copies = expected.get("num_repeats", 1)
        assert node.get("copies", 1) == copies
        assert_same_pipeline(node, expected["pipeline"])
        if "filename_tmpl" in expected:
            theirs, ours = expected["filename_tmpl"], node["reader"]["template"]
            fields = ("x", 7) if theirs.count("{") > 1 else (7,)
            assert ours.format(*fields) == theirs.format(*fields)
    # Networks over clips see one clip at a time, those over segments all segments: TSN's alone
    # averages them, however many there are.
    clip, head = conf.model.clip, published["head"]["type"]
    frames = clip.frames if published["recognizer"] != "Recognizer2D" else clip.clips
    assert clip.frames_per_view == (None if head == "TSNHead" else frames)


def assert_same_lists(node: dict[str, Any], lists: list[list[str]]) -> None:
    """The files of the published test-only recipes (`val.csv`) are the lists that we have."""
    if lists[0][0].endswith("/val.csv"):
        return
    path = node["records"]["path"]
    paths = [path] if isinstance(path, str) else path
    folders = node["records"].get("folders") or [""] * len(paths)
    prefixes = [str(Path(node["prefix"], folder)) for folder in folders]
    ours = list(zip(paths, prefixes, strict=True))
    assert ours == [(str(Path(path)), str(Path(prefix))) for path, prefix in lists]


def assert_same_pipeline(node: dict[str, Any], published: list[dict[str, Any]]) -> None:
    sampling, *steps = (dict(step) for step in published)
    target = node["sampling"]["_target_"]
    assert target == f"vidrec.data.clips.sampling.{sampling.pop('type')}"
    sampling.setdefault("num_clips", 1)
    ours = {key: value for key, value in node["sampling"].items() if key != "_target_"}
    assert with_defaults(target, ours) == with_defaults(target, sampling)
    ours = [step for step in node["steps"].values() if step]
    # Frames are decoded at the size of the crop: what changes colours comes after.
    steps.sort(key=lambda step: step["type"] in PHOTOMETRIC)
    for step, theirs in zip(ours, steps, strict=True):
        name, renamed = theirs.pop("type"), theirs
        if name in PHOTOMETRIC:
            name, keys = PHOTOMETRIC[name]
            renamed = {keys.get(key, key): value for key, value in theirs.items()}
            renamed = {key: value for key, value in renamed.items() if key}
        target = step["_target_"]
        assert target.rsplit(".", 1)[1] == name
        if "flip_label_map" in renamed:
            renamed["flip_label_map"] = {int(k): v for k, v in renamed["flip_label_map"].items()}
        arguments = {key: value for key, value in step.items() if key != "_target_"}
        assert with_defaults(target, arguments) == with_defaults(target, renamed)


# Published steps on pixels -> our class and the arguments named differently (None: it has none).
PHOTOMETRIC: dict[str, tuple[str, dict[str, str | None]]] = {
    "ColorJitter": ("ColorJitter", {}),
    "PytorchVideoWrapper": ("RandAugment", {"op": None}),
    "RandomErasing": ("RandomErasing", {}),
}


def assert_same_mixing(conf: TrainConf, blending: dict[str, Any] | None) -> None:
    """The published mixing is one of two at random, each with its `alpha`, or none."""
    mixing = conf.schedule.mixing
    if blending is None:
        assert mixing is None
        return
    assert mixing["_target_"] == "vidrec.data.transforms.mixing.OneOf"
    alphas = {augment["type"]: augment["alpha"] for augment in blending["augments"]}
    ours = {name: choice["alpha"] for name, choice in mixing["choices"].items()}
    assert ours == {"mixup": alphas["MixupBlending"], "cutmix": alphas["CutmixBlending"]}


def test_no_configuration_inherits_through_more_than_three_levels():
    """Primitive -> variant -> experiment; what a group file takes from its own folder counts."""
    for group in sorted(path for path in Path(conf_dir()).rglob("*") if path.is_dir()):
        for path in group.glob("*.yaml"):
            assert depth(path) <= 3, path


def depth(path: Path) -> int:
    """1 for a file without a parent in its own folder."""
    import yaml

    entries = (yaml.safe_load(path.read_text()) or {}).get("defaults", [])
    # Schemas (`/clip_data_schema@_here_`) are dataclasses, not files.
    names = [entry for entry in entries if isinstance(entry, str) and "/" not in entry]
    parents = [path.with_name(f"{name}.yaml") for name in names]
    return 1 + max((depth(parent) for parent in parents if parent.is_file()), default=0)
