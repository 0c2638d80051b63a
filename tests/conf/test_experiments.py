"""Every experiment composes, passes the startup validation, builds, and has the published numbers.

tests/golden/recognition_recipes.json.gz holds what the published configurations say (MMAction2
1.2.0, configs/recognition). How their classes are named here is in published_*.py beside this file.
"""

import functools
import gzip
import inspect
import json
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import get_object
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from vidrec import build, validation
from vidrec.config import TrainConf, conf_dir, register

HERE = Path(__file__).parent
STEMS = sorted(path.stem for path in Path(conf_dir(), "experiment").glob("*.yaml"))
RECIPES = json.loads(
    gzip.decompress((HERE.parent / "golden" / "recognition_recipes.json.gz").read_bytes())
)
TRAINED = sorted(stem for stem in RECIPES if "optim" in RECIPES[stem])
CLASSES: dict[str, dict[str, Any]] = {"BACKBONES": {}, "HEADS": {}, "NECKS": {}, "WEIGHTS": {}}
for path in sorted(HERE.glob("published_*.py")):
    tables = runpy.run_path(str(path))
    for kind, found in CLASSES.items():
        found |= tables.get(kind, {})
PHASES = {"LinearLR": "Linear", "MultiStepLR": "MultiStep", "CosineAnnealingLR": "Cosine"}


@functools.cache
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


@pytest.mark.parametrize("stem", sorted(RECIPES))
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


@pytest.mark.parametrize("stem", TRAINED)
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


def assert_same_phases(conf: TrainConf, published: list[dict[str, Any]]) -> None:
    """The chained phases of the learning rate."""
    schedule = conf.schedule
    for phase, expected in zip(schedule.lr.values(), published, strict=True):
        ours, theirs = dict(phase), dict(expected)
        target = ours.pop("_target_")
        assert target == f"vidrec.engine.lr.{PHASES[theirs.pop('type')]}"
        theirs["convert_to_steps"] = theirs.pop("convert_to_iter_based", False)
        ours, theirs = with_defaults(target, ours), with_defaults(target, theirs)
        for arguments in (ours, theirs):
            # A phase without an end lasts to the end of the run, a half wave as long as its phase.
            end = arguments["end"]
            arguments["end"] = min(schedule.epochs if end is None else end, schedule.epochs)
            if arguments.get("T_max", 0) is None:
                arguments["T_max"] = arguments["end"] - arguments["begin"]
        assert ours == theirs


@pytest.mark.parametrize("stem", sorted(RECIPES))
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
    assert target == f"vidrec.data.sampling.{sampling.pop('type')}"
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
    assert mixing["_target_"] == "vidrec.data.mixing.OneOf"
    alphas = {augment["type"]: augment["alpha"] for augment in blending["augments"]}
    ours = {name: choice["alpha"] for name, choice in mixing["choices"].items()}
    assert ours == {"mixup": alphas["MixupBlending"], "cutmix": alphas["CutmixBlending"]}


def assert_same_arguments(
    node: dict[str, Any], published: dict[str, Any], classes: dict[str, tuple]
) -> None:
    targets, renamed, *more = classes[published["type"]]
    target = node["_target_"]
    assert target in (targets if isinstance(targets, tuple) else (targets,))
    ours = with_defaults(target, node)
    for key, value in (more[0] if more else {}).items():
        assert ours[key] == value, key
    for key, value in published.items():
        own_key = renamed.get(key, key)
        if key in ("type", "pretrained", "init_cfg", "pretrained2d") or own_key is None:
            continue
        if isinstance(value, dict) and "type" in value and value["type"] in classes:
            assert_same_arguments(ours[own_key], value, classes)
        else:
            assert ours[own_key] == value, key


def with_defaults(target: str, arguments: dict[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(get_object(target)).parameters
    defaults = {n: p.default for n, p in parameters.items() if p.default is not p.empty}
    defaults = {n: list(v) if isinstance(v, tuple) else v for n, v in defaults.items()}
    return defaults | {key: value for key, value in arguments.items() if key != "_target_"}


def published_multipliers(net: nn.Module, optim: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Factors of learning rate and weight decay by parameter, as MMEngine and MMAction2 define."""
    rules = optim.get("paramwise_cfg") or {}
    names = [name for name, _ in net.named_parameters()]
    match optim.get("constructor"):
        case "TSMOptimWrapperConstructor":
            return tsm_multipliers(net, rules["fc_lr5"])
        case "SwinOptimWrapperConstructor":
            return {name: product(rules, name) for name in names}
        case "LearningRateDecayOptimizerConstructor":
            return layer_decay(net, rules["decay_rate"], rules["num_layers"])
    found = {}
    for prefix, module in net.named_modules():
        for name, _ in module.named_parameters(prefix, recurse=False):
            custom = [k for k in sorted(rules.get("custom_keys", {})) if k in name]
            custom.sort(key=len, reverse=True)
            if custom:
                rule = rules["custom_keys"][custom[0]]
                found[name] = (rule.get("lr_mult", 1.0), rule.get("decay_mult", 1.0))
            elif isinstance(module, _BatchNorm | nn.LayerNorm | nn.GroupNorm):
                found[name] = (1.0, rules.get("norm_decay_mult", 1.0))
            else:
                is_bias = name.rsplit(".", 1)[-1] == "bias"
                found[name] = (1.0, rules.get("bias_decay_mult", 1.0) if is_bias else 1.0)
    return found


def product(rules: dict[str, dict[str, float]], name: str) -> tuple[float, float]:
    """Swin: every rule whose key is in the name counts."""
    lr = decay = 1.0
    for key, rule in rules.items():
        if key in name:
            lr, decay = lr * rule.get("lr_mult", 1.0), decay * rule.get("decay_mult", 1.0)
    return lr, decay


def tsm_multipliers(net: nn.Module, fc_lr5: bool) -> dict[str, tuple[float, float]]:
    """TSM: biases learn twice as fast and do not decay; the last linear layer five times faster."""
    found: dict[str, tuple[float, float]] = {}
    last = [module for module in net.modules() if isinstance(module, nn.Linear)][-1]
    for prefix, module in net.named_modules():
        factor = 5.0 if fc_lr5 and module is last else 1.0
        for name, _ in module.named_parameters(prefix, recurse=False):
            if not isinstance(module, nn.Linear | _ConvNd):
                assert isinstance(module, _BatchNorm)
                found[name] = (1.0, 0.0)
            elif name.endswith("bias"):
                found[name] = (2 * factor, 0.0)
            else:
                found[name] = (factor, 1.0)
    return found


def layer_decay(net: nn.Module, rate: float, num_layers: int) -> dict[str, tuple[float, float]]:
    """BEiT and MAE: the k-th layer from the top learns rate ** k as fast."""
    found = {}
    for name, parameter in net.named_parameters():
        parts = name.split(".")
        if parts[1] in ("cls_token", "mask_token", "pos_embed", "patch_embed"):
            layer = 0
        elif parts[1] == "blocks":
            layer = int(parts[2]) + 1
        else:
            layer = num_layers + 1
        plain = parameter.ndim == 1 or name.endswith(".bias") or parts[-1] in ("pos_embed",)
        found[name] = (rate ** (num_layers + 1 - layer), 0.0 if plain else 1.0)
    return found


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
