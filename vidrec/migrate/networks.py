"""The `model` of an MMAction2 configuration: arguments have the same names here."""

from collections.abc import Mapping
from typing import Any

from vidrec.migrate.composed import ABSENT, value_at
from vidrec.migrate.differences import Difference, differences
from vidrec.migrate.translation import Translation, wrong_argument

# Where the nodes are.
NODES = {
    "model.roi_head.shared_head.fbo_cfg": "model.net.roi_head.shared_head.fbo",
    "model.backbone": "model.net.backbone",
    "model.neck": "model.net.neck",
    "model.cls_head": "model.net.cls_head",
    "model.roi_head": "model.net.roi_head",
    "model.train_cfg.rcnn.assigner": "model.net.assigner",
    "model.train_cfg.rcnn.sampler": "model.net.sampler",
    "model": "model.net",
}
# Keys with another name, or in another place.
KEYS = {
    "model.data_preprocessor.mean": "model.net.mean",
    "model.data_preprocessor.std": "model.net.std",
    "model.cls_head.average_clips": "model.net.average_clips",
    "model.cls_head.label_smooth_eps": "model.loss.label_smoothing",
    "model.cls_head.loss_cls.loss_weight": "model.loss.loss_weight",
    "model.cls_head.loss_cls.class_weight": "model.loss.class_weight",
    "model.neck.aux_head_cfg.loss_weight": "model.loss.auxiliary_weight",
    "model.backbone.non_local_cfg.mode": "model.net.backbone.non_local_mode",
    "model.backbone.non_local_cfg.use_scale": "model.net.backbone.non_local_use_scale",
    "model.backbone.non_local_cfg.sub_sample": "model.net.backbone.non_local_sub_sample",
    "model.roi_head.bbox_head.focal_gamma": "model.loss.focal_gamma",
    "model.roi_head.bbox_head.focal_alpha": "model.loss.focal_alpha",
    "model.tem_match_threshold": "model.loss.match_threshold",
}
# What one key of the data says here for the network too.
OF_THE_DATA = {
    "model.cls_head.num_classes": "data.num_classes",
    "model.neck.aux_head_cfg.out_channels": "data.num_classes",
    "model.roi_head.bbox_head.num_classes": "data.num_classes",
    "model.roi_head.bbox_head.multilabel": "data.multi_label",
    "model.roi_head.bbox_head.background_class": "data.train.records.background",
    "model.temporal_dim": "data.temporal_dim",
    "model.feat_dim": "data.feat_dim",
    "model.tem_feat_dim": "data.feat_dim",
}
# What bounds memory and changes no result.
NOTES = {"max_testing_views": "model.net.max_test_images bounds the frames of a forward pass"}
BANK = ("window_size", "max_num_sampled_feat")
# The only value that there is here, and that MMAction2 takes when none is given.
FIXED: dict[str, list[Any]] = {
    "spatial_type": ["avg"],
    "consensus": [{"type": "AvgConsensus", "dim": 1}],
    "style": ["pytorch"],
    "roi_layer_type": ["RoIAlign"],
    "format_shape": ["NCHW", "NCTHW"],  # batches have one layout
    "fcn_test": [False, True],  # tests see what the views are cut to
    "qk_scale": [None],
    "is_shift": [True],
    "pretrained2d": [True, False],  # seen from the weights
    "lateral": [True, False],  # the class of a pathway says it
    "pretrained_type": [None, "maskfeat"],
    "use_mean_pooling": [True],
    "loss_cls": [{"type": "CrossEntropyLoss"}],
    "pos_weight": [1.0],
}  # fmt: skip
# Numbers of frames, where the class has no such argument.
FOLLOWING = {"num_segments": "model.clip.clips", "t_size": "model.clip.frames"}
WHY = {
    "norm_cfg": "normalisation layers belong to the architecture here",
    "conv_cfg": "convolutions belong to the architecture here",
    "act_cfg": "activations belong to the architecture here",
    "lfb_prefix_path": "the bank is a file: data.train.bank.path and data.val.bank.path",
    "channel_map": "weights of other classes are not rearranged: the classifier starts anew",
    "init_cfg": "layers are initialised as published; checkpoints go into model.weights",
}


def translate_model(
    config: Mapping[str, Any], published: Mapping[str, Any], result: Translation
) -> None:
    """Note what the `model` of a configuration changes in the published one."""
    given, theirs = (_without_weights(c.get("model", {})) for c in (config, published))
    blending = [m.get("data_preprocessor", {}).pop("blending", None) for m in (given, theirs)]
    if blending[0] != blending[1]:
        translate_blending(blending[0], result)
    for difference in differences(given, theirs, ("model",)):
        _translate(difference, result)
    weights, before = weights_of(config), weights_of(published)
    if weights != before:
        _translate_weights(weights, result)


def _translate(difference: Difference, result: Translation) -> None:
    key, name, value = difference.key, difference.path[-1], difference.given
    if key in OF_THE_DATA:
        result.want(OF_THE_DATA[key], value, key, spreads=True)
    elif key in KEYS:
        result.argument(KEYS[key], value, key)
    elif name in NOTES:
        result.note(key, value, NOTES[name])
    elif name in BANK and "lfb_cfg" in difference.path:
        for split in ("train", "val"):
            result.argument(f"data.{split}.bank.{name}", value, key)
    elif name in FIXED and not (name == "loss_cls" and isinstance(value, dict)):
        if value != ABSENT and value not in FIXED[name]:
            result.lack(key, value, f"it is always {FIXED[name][0]!r} here")
    elif reason := next((WHY[part] for part in difference.path if part in WHY), None):
        result.lack(key, value, reason)
    elif isinstance(value, dict) and "type" in value:
        _translate_type(difference, result)
    else:
        start = next(start for start in NODES if key.startswith(f"{start}.") or key == start)
        _argument(NODES[start] + key.removeprefix(start), difference, result)


def _argument(path: str, difference: Difference, result: Translation) -> None:
    """An argument of the same name, or one that the clip says here."""
    parent, _, name = path.rpartition(".")
    target = value_at(result.cfg, f"{parent}._target_")
    if name in FOLLOWING and wrong_argument(str(target), name, ABSENT if target == ABSENT else 1):
        result.want(FOLLOWING[name], difference.given, difference.key)
    else:
        result.argument(path, difference.given, difference.key)


def _translate_type(difference: Difference, result: Translation) -> None:
    """A node of another class than in the nearest experiment."""
    kind = difference.given["type"]
    if kind in ("CrossEntropyLoss", "BCELossWithLogits") and difference.path[-1] == "loss_cls":
        own = "CrossEntropy" if kind == "CrossEntropyLoss" else "BinaryCrossEntropy"
        result.want("model.loss._target_", f"vidrec.losses.classification.{own}", difference.key)
        for name, value in difference.given.items():
            if name != "type":
                result.argument(f"model.loss.{name}", value, f"{difference.key}.{name}")
        return
    if difference.key == "model.backbone" and kind.startswith(("timm.", "torchvision.")):
        library, _, name = kind.partition(".")
        result.choose("model/backbone@model.net.backbone=image")
        result.want("model.net.backbone.library", library, f"{difference.key}.type", given=kind)
        result.want("model.net.backbone.name", name, f"{difference.key}.type", given=kind)
        if difference.given.get("pretrained") is True:
            scheme = f"{library}://{name}"
            result.want("model.weights", scheme, f"{difference.key}.pretrained", given=True)
        for option, value in difference.given.items():
            if option not in ("type", "pretrained", "feature_shape"):
                result.argument(f"model.net.backbone.{option}", value, f"{difference.key}.{option}")
        return
    there = difference.published
    instead = there.get("type") if isinstance(there, dict) else None
    result.lack(
        f"{difference.key}.type",
        kind,
        f"no published recipe here has it in this place (the nearest has {instead}); a class of "
        "your own is named by _target_ (docs/own_code.md)",
    )


def weights_of(config: Mapping[str, Any]) -> str | None:
    """The file that training starts from."""
    model = config.get("model") or {}
    backbone = model.get("backbone") or {}
    for given in (
        config.get("load_from"),
        (model.get("init_cfg") or {}).get("checkpoint"),
        (backbone.get("init_cfg") or {}).get("checkpoint"),
        backbone.get("pretrained"),
    ):
        if isinstance(given, str):
            return given
    return None


def _translate_weights(weights: str | None, result: Translation) -> None:
    source = "load_from, init_cfg.checkpoint or pretrained"
    for scheme in ("mmcls://", "mmpretrain://", "open-mmlab://", "modelzoo://", "local://"):
        if weights is not None and weights.startswith(scheme):
            result.lack(source, weights, "such names are not resolved: give the file or its URL")
            return
    result.want("model.weights", weights, source)


def _without_weights(model: Mapping[str, Any]) -> dict[str, Any]:
    """A model without the keys that `weights_of` reads."""
    made = {key: dict(value) if isinstance(value, dict) else value for key, value in model.items()}
    for node in (made, made.get("backbone"), made.get("cls_head")):
        if isinstance(node, dict):
            if isinstance(node.get("pretrained"), str | None):
                node.pop("pretrained", None)
            if (node.get("init_cfg") or {}).get("type") == "Pretrained":
                node.pop("init_cfg")
    return made


def translate_blending(blending: Any, result: Translation) -> None:
    """`RandomBatchAugment` and its parts, as `schedule/mixing`."""
    source = "model.data_preprocessor.blending"
    if not blending:
        result.want("schedule.mixing", None, source)
        return
    names = {"MixupBlending": "mixup", "CutmixBlending": "cutmix"}
    parts = blending.get("augments", [blending])
    parts = parts if isinstance(parts, list) else [parts]
    kinds = [names.get(part.get("type", "")) for part in parts]
    if None in kinds or len(kinds) > 2:
        result.lack(source, blending, "there are mixup, cutmix and mixup_cutmix (schedule/mixing)")
        return
    choice = "mixup_cutmix" if len(kinds) == 2 else kinds[0]
    result.choose(f"schedule/mixing={choice}")
    for kind, part in zip(kinds, parts, strict=True):
        where = f"schedule.mixing.choices.{kind}" if len(kinds) == 2 else "schedule.mixing"
        result.want(f"{where}.alpha", part.get("alpha", 1), f"{source}.{kind}.alpha")
    if blending.get("probs") is not None:
        probabilities = dict(zip(kinds, blending["probs"], strict=False))
        result.want("schedule.mixing.probabilities", probabilities, f"{source}.probs")
