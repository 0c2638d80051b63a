"""Optimizer, schedule and runtime of an MMAction2 configuration."""

import re
from collections.abc import Mapping
from typing import Any

from vidrec.migrate.canonical import OF_TRAINING
from vidrec.migrate.composed import ABSENT, value_at
from vidrec.migrate.differences import Difference, differences
from vidrec.migrate.overriding import same
from vidrec.migrate.translation import Translation

KEYS = {
    "train_cfg.max_epochs": "schedule.epochs",
    "train_cfg.val_begin": "schedule.val_begin",
    "train_cfg.val_interval": "schedule.val_interval",
    "optim_wrapper.clip_grad.max_norm": "schedule.clip_norm",
    "optim_wrapper.accumulative_counts": "schedule.accumulate",
    "auto_scale_lr.enable": "schedule.scale_lr",
    "auto_scale_lr.base_batch_size": "schedule.base_batch_size",
    "default_hooks.logger.interval": "runtime.log_every",
    "default_hooks.checkpoint.interval": "runtime.save_every_epochs",
    "default_hooks.checkpoint.max_keep_ckpts": "runtime.keep",
    "env_cfg.cudnn_benchmark": "runtime.cudnn_benchmark",
    "randomness.seed": "runtime.seed",
    "randomness.deterministic": "runtime.deterministic",
}
# What MMEngine does without the key.
DEFAULTS = {
    "train_cfg.val_begin": 1,
    "train_cfg.val_interval": 1,
    "optim_wrapper.clip_grad.max_norm": None,
    "optim_wrapper.accumulative_counts": 1,
    "auto_scale_lr.enable": False,
    "env_cfg.cudnn_benchmark": False,
    "randomness.seed": 0,
    "randomness.deterministic": False,
}
# Keys, or beginnings of keys, that have nothing to set here.
NOTES = {
    "default_scope": "names are looked up by their full path",
    "launcher": "torchrun, or runtime=slurm",
    "log_level": "not needed",
    "log_processor": "metrics.jsonl has every logged step",
    "resume": "the same command goes on with its run",
    "env_cfg": "not needed",
    "work_dir": "the run directory is named after the choices; hydra.run.dir=DIR sets it",
    "experiment_name": "the run directory is named after the choices; hydra.run.dir sets it",
    "find_unused_parameters": "not needed",
    "model_wrapper_cfg": "not needed",
    "default_hooks": "not needed",
    "val_cfg": "not needed",
    "test_cfg": "not needed",
    "auto_scale_lr.base_batch_size": "the experiment's stays",
    "visualizer": "figures are in the run directory; runtime.dashboard chooses a dashboard",
    "optim_wrapper.clip_grad.norm_type": "the norm is the Euclidean one",
    "optim_wrapper.loss_scale": "the scale is dynamic",
    "train_cfg.type": "the loop counts epochs",
    "default_hooks.checkpoint.interval": "last.pt is written after every epoch",
    "default_hooks.checkpoint.max_keep_ckpts": "last.pt and best.pt are kept",
    "efficient_conv_bn_eval": "it changes no result",
}
LACKS = {"custom_imports": "classes of your own are named by _target_ (docs/own_code.md)"}
PHASES = {
    "LinearLR": "Linear", "MultiStepLR": "MultiStep", "CosineAnnealingLR": "Cosine",
    "StepLR": "Step", "ConstantLR": "Constant", "ExponentialLR": "Exponential", "PolyLR": "Poly",
}  # fmt: skip
RULES = {  # an option of paramwise_cfg -> what its rule has
    "norm_decay_mult": ("norm", "weight_decay"),
    "bias_decay_mult": ("bias", "weight_decay"),
    "bias_lr_mult": ("bias", "lr"),
}


def translate_training(
    config: Mapping[str, Any], published: Mapping[str, Any], result: Translation
) -> None:
    """Note what a configuration changes in the published optimizer, schedule and runtime."""
    given, theirs = (
        {k: v for k, v in c.items() if k in OF_TRAINING and v is not None}
        for c in (config, published)
    )
    translate_rules(_rules(config), _rules(published), result)
    for side in (given, theirs):
        if isinstance(side.get("optim_wrapper"), dict):
            left = ("constructor", "paramwise_cfg")
            side["optim_wrapper"] = {
                k: v for k, v in side["optim_wrapper"].items() if k not in left
            }
    _translate_wrapper(given, theirs, result)
    for difference in differences(given, theirs):
        _translate(difference, result)
    phases = config.get("param_scheduler", ABSENT)
    if "optim_wrapper" in config and not same(phases, published.get("param_scheduler", ABSENT)):
        translate_phases(phases, result)


def _translate(difference: Difference, result: Translation) -> None:
    key, value = difference.key, difference.given
    if key.startswith("optim_wrapper.optimizer"):
        _translate_optimizer(difference, result)
    elif key in KEYS and (value != ABSENT or key in DEFAULTS):
        value = DEFAULTS[key] if value == ABSENT else value
        if value == -1 and key.endswith("max_keep_ckpts"):  # all of them
            value = 1_000_000
        spreads = key == "train_cfg.max_epochs"
        result.want(KEYS[key], value, key, spreads=spreads)
    elif key in OTHERS:
        OTHERS[key](difference, result)
    elif note := next((text for start, text in NOTES.items() if _begins(key, start)), None):
        if value != ABSENT:
            result.note(key, value, note)
    else:
        result.lack(key, value, LACKS.get(key, "vidrec has no such option"))


def _begins(key: str, start: str) -> bool:
    return key == start or key.startswith(f"{start}.")


def _translate_optimizer(difference: Difference, result: Translation) -> None:
    key, value = difference.key, difference.given
    if key != "optim_wrapper.optimizer":
        result.argument(key.replace("optim_wrapper", "schedule"), value, key)
        return
    if not isinstance(value, dict) or value.get("type") not in ("SGD", "Adam", "AdamW"):
        result.lack(key, value, "name it: schedule.optimizer._target_=... (docs/own_code.md)")
        return
    target = f"torch.optim.{value['type']}"
    if value_at(result.cfg, "schedule.optimizer._target_") != target:
        result.choose(f"schedule/optimizer={value['type'].lower()}")
    for name, argument in value.items():
        if name != "type":
            result.want(f"schedule.optimizer.{name}", argument, f"{key}.{name}")


def _translate_wrapper(given: dict[str, Any], theirs: dict[str, Any], result: Translation) -> None:
    """Whether gradients are computed in lower precision."""

    def precision(wrapper: dict[str, Any]) -> str:
        kind, dtype = wrapper.pop("type", "OptimWrapper"), wrapper.pop("dtype", "float16")
        if kind != "AmpOptimWrapper":
            return "fp32" if kind == "OptimWrapper" else kind
        return "bf16" if dtype == "bfloat16" else "fp16"

    wrapper, before = (side.get("optim_wrapper", {}) for side in (given, theirs))
    kind, kind_before = precision(wrapper), precision(before)
    if kind not in ("fp32", "fp16", "bf16"):
        result.lack("optim_wrapper.type", kind, "there are fp32, fp16 and bf16 (runtime.precision)")
    elif kind != kind_before and wrapper:
        result.want("runtime.precision", kind, "optim_wrapper.type")


def translate_phases(phases: Any, result: Translation, source: str = "param_scheduler") -> None:
    """The schedulers, as the named phases of `schedule.lr`. source: the key they come from."""
    given = [] if phases in (ABSENT, None) else phases if isinstance(phases, list) else [phases]
    own = {k: v for k, v in (value_at(result.cfg, "schedule.lr") or {}).items() if v is not None}
    nodes = _phases(given, source, result)
    if [phase["_target_"] for phase in own.values()] == [n["_target_"] for _, n in nodes]:
        for (name, phase), (key, node) in zip(own.items(), nodes, strict=True):
            result.arguments(f"schedule.lr.{name}", phase, node, key)
        return
    for name in own:
        result.want(f"schedule.lr.{name}", None, source, given=given)
    taken = dict(own)
    for key, node in nodes:
        name = _free(node["_target_"].rsplit(".", 1)[1].lower(), taken)
        taken[name] = node
        result.want(f"schedule.lr.{name}", node, key, new=True)


def _phases(given: list[Any], source: str, result: Translation) -> list[tuple[str, dict[str, Any]]]:
    """(key, node) of the schedulers that there are here, without milestones after the end."""
    epochs = next((f.value for f in result.facts if f.path == "schedule.epochs"), ABSENT)
    epochs = value_at(result.cfg, "schedule.epochs") if epochs == ABSENT else epochs
    nodes = []
    for i, phase in enumerate(given):
        key = f"{source}.{i}"
        late = [m for m in phase.get("milestones", []) if m >= epochs]
        if late and phase.get("by_epoch", True):
            phase = phase | {"milestones": [m for m in phase["milestones"] if m < epochs]}
            result.note(f"{key}.milestones", late, "left out: training ends before them")
        if phase.get("type") in PHASES:
            nodes.append((key, _phase(phase)))
        else:
            there = ", ".join(PHASES)
            result.lack(key, phase, f"there are counterparts of {there} (vidrec.engine.lr)")
    return nodes


def _phase(phase: Mapping[str, Any]) -> dict[str, Any]:
    names = {"convert_to_iter_based": "convert_to_steps"}
    kind = {"_target_": f"vidrec.engine.lr.{PHASES[phase['type']]}"}
    return kind | {names.get(k, k): v for k, v in phase.items() if k not in ("type", "verbose")}


def _free(name: str, taken: Mapping[str, Any] | None) -> str:
    """The name, or with a number if it is taken."""
    names = [name, *(f"{name}_{i}" for i in range(2, 100))]
    return next(candidate for candidate in names if candidate not in (taken or {}))


def _rules(config: Mapping[str, Any]) -> dict[str, Any]:
    wrapper = config.get("optim_wrapper") or {}
    kind = wrapper.get("constructor", "DefaultOptimWrapperConstructor")
    return {"constructor": kind, **(wrapper.get("paramwise_cfg") or {})}


def translate_rules(
    rules: dict[str, Any],
    published: dict[str, Any],
    result: Translation,
    source: str = "optim_wrapper.paramwise_cfg",
) -> None:
    """Rates and decays of single parameters, as `schedule.param_groups`."""
    if same(rules, published):
        return
    kind = rules["constructor"]
    if kind == "TSMOptimWrapperConstructor":
        _choose_rules("fc_lr5" if rules.get("fc_lr5") else "biases", result)
    elif kind == "LearningRateDecayOptimizerConstructor":
        result.want("schedule.layer_decay", rules.get("decay_rate"), f"{source}.decay_rate")
        if kind != published.get("constructor"):
            _choose_rules("no_decay", result)
    elif kind != "DefaultOptimWrapperConstructor":
        result.lack("optim_wrapper.constructor", kind, "write its rules as schedule.param_groups")
    else:
        _default_rules(rules, result, source)


def _choose_rules(name: str, result: Translation) -> None:
    has_one = value_at(result.cfg, "schedule.param_groups")  # else the schedule chooses no file
    result.choose(f"{'' if has_one else '+'}schedule/param_groups={name}")


def _default_rules(rules: Mapping[str, Any], result: Translation, source: str) -> None:
    """MMEngine's own rules: those with names before those for norms and biases."""
    made: dict[str, dict[str, Any]] = {}
    factors = {"lr_mult": "lr", "decay_mult": "weight_decay"}
    custom = rules.get("custom_keys", {})
    for key in sorted(sorted(custom), key=len, reverse=True):
        name = _free(re.sub(r"\W+", "_", key).strip("_") or "rule", made)
        unknown = [k for k in custom[key] if k not in factors]
        if unknown:
            result.lack(f"{source}.custom_keys.{key}", custom[key], "there are lr and weight_decay")
        made[name] = {"name": re.escape(key)} | {
            factors[k]: v for k, v in custom[key].items() if k in factors
        }
    for key, value in rules.items():
        if key in RULES:
            kind, factor = RULES[key]
            made.setdefault(kind, {"kind": kind})[factor] = value
        elif key not in ("constructor", "custom_keys", "bypass_duplicate"):
            result.lack(f"{source}.{key}", value, "write it as a rule of schedule.param_groups")
    own = value_at(result.cfg, "schedule.param_groups") or {}
    own = {name: rule for name, rule in own.items() if rule is not None}
    starts_alike = list(own) == list(made)[: len(own)]
    for name in own:
        if not starts_alike:
            result.want(f"schedule.param_groups.{name}", None, source, given=dict(rules))
    for name, rule in made.items():
        free = name if name not in own or starts_alike else _free(name, own)
        if not same(own.get(name), rule) or not starts_alike:
            result.want(f"schedule.param_groups.{free}", rule, source, new=free not in own)


def _save_best(difference: Difference, result: Translation) -> None:
    value = difference.given
    if value in ("auto", None, ABSENT):
        result.want("runtime.save_best", value == "auto", difference.key, given=value)
    else:
        result.note(difference.key, value, "best.pt is the best by data.metric's main score")


def _hooks(difference: Difference, result: Translation) -> None:
    hooks = difference.given if isinstance(difference.given, list) else []
    for i, hook in enumerate(hooks):
        key = f"custom_hooks.{i}"
        if hook.get("type") == "EMAHook":
            result.want("schedule.ema", 1 - hook.get("momentum", 0.0002), f"{key}.momentum")
        else:
            result.lack(key, hook, "there are no hooks here: a change of the loop is a line in it")


def _visualizer(difference: Difference, result: Translation) -> None:
    value = difference.given if isinstance(difference.given, dict) else {}
    kinds = [backend.get("type") for backend in value.get("vis_backends") or []]
    for kind, name in (("WandbVisBackend", "wandb"), ("TensorboardVisBackend", "tensorboard")):
        if kind in kinds:
            result.want("runtime.dashboard", name, "visualizer.vis_backends")


def _sync_bn(difference: Difference, result: Translation) -> None:
    result.want("schedule.sync_bn", bool(difference.given), difference.key)


def _compile(difference: Difference, result: Translation) -> None:
    value = difference.given
    given = value.get("disable", False) is False if isinstance(value, dict) else bool(value)
    result.want("runtime.compile", given and value != ABSENT, difference.key, given=value)


def _loop(difference: Difference, result: Translation) -> None:
    """A loop of another kind than that of the nearest recipe."""
    loop = difference.given
    if isinstance(loop, dict) and (loop.get("by_epoch") or loop.get("type") in _BY_EPOCH):
        for key in ("max_epochs", "val_begin", "val_interval"):
            if key in loop:
                full = f"train_cfg.{key}"
                result.want(KEYS[full], loop[key], full, spreads=key == "max_epochs")
    elif loop != ABSENT:
        result.lack(difference.key, loop, "training counts epochs: set schedule.epochs")


_BY_EPOCH = ("EpochBasedTrainLoop",)
OTHERS = {
    "default_hooks.checkpoint.save_best": _save_best,
    "custom_hooks": _hooks,
    "visualizer": _visualizer,
    "sync_bn": _sync_bn,
    "compile": _compile,
    "train_cfg": _loop,
}
