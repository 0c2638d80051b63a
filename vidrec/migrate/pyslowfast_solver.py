"""Optimizer and learning rate of a PySlowFast configuration."""

from typing import Any

from vidrec.migrate.composed import value_at
from vidrec.migrate.networks import translate_blending
from vidrec.migrate.pyslowfast_settings import Settings
from vidrec.migrate.training import translate_phases, translate_rules
from vidrec.migrate.translation import Translation


def translate_solver(settings: Settings, result: Translation) -> None:
    """Note how the network is trained."""
    method = settings["SOLVER.OPTIMIZING_METHOD"]
    classes = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}
    if method in classes:
        if value_at(result.cfg, "schedule.optimizer._target_") != f"torch.optim.{classes[method]}":
            result.choose(f"schedule/optimizer={method}")
    else:
        result.lack("SOLVER.OPTIMIZING_METHOD", method, f"there are {', '.join(classes)}")
    if method == "sgd":
        momentum = settings["SOLVER.MOMENTUM"]
        result.want("schedule.optimizer.momentum", momentum, "SOLVER.MOMENTUM")
        nesterov = settings["SOLVER.NESTEROV"]
        result.want("schedule.optimizer.nesterov", nesterov, "SOLVER.NESTEROV", default=False)
    result.want("schedule.epochs", settings["SOLVER.MAX_EPOCH"], "SOLVER.MAX_EPOCH", spreads=True)
    if settings["SOLVER.BASE_LR_SCALE_NUM_SHARDS"] and settings["NUM_SHARDS"] > 1:
        result.lack("SOLVER.BASE_LR_SCALE_NUM_SHARDS", True, "multiply the rate by NUM_SHARDS")
    _decays(settings, result)
    translate_phases(_phases(settings, result), result, source="SOLVER")
    _mixing(settings, result)


def _decays(settings: Settings, result: Translation) -> None:
    decay, of_norms = settings["SOLVER.WEIGHT_DECAY"], settings["BN.WEIGHT_DECAY"]
    rules: dict[str, Any] = {"constructor": "DefaultOptimWrapperConstructor"}
    if settings["SOLVER.ZERO_WD_1D_PARAM"]:
        rules |= {"norm_decay_mult": 0, "bias_decay_mult": 0}
    elif of_norms != decay:
        rules["norm_decay_mult"] = of_norms / decay if decay else 0
    translate_rules(rules, {}, result, source="BN.WEIGHT_DECAY, SOLVER.ZERO_WD_1D_PARAM")
    if (rate := settings["SOLVER.LAYER_DECAY"]) != 1:
        result.want("schedule.layer_decay", rate, "SOLVER.LAYER_DECAY")


def _phases(settings: Settings, result: Translation) -> list[dict[str, Any]]:
    """The learning rate, as schedulers of MMEngine."""
    base, epochs = settings["SOLVER.BASE_LR"], settings["SOLVER.MAX_EPOCH"]
    policy, warmup = settings["SOLVER.LR_POLICY"], settings["SOLVER.WARMUP_EPOCHS"]
    warmup = int(warmup) if warmup == int(warmup) else warmup
    steps = {"by_epoch": True, "convert_to_iter_based": True}
    phases: list[dict[str, Any]] = []
    if warmup:
        factor = round(settings["SOLVER.WARMUP_START_LR"] / base, 12)
        phases = [{"type": "LinearLR", "start_factor": factor, "begin": 0, "end": warmup, **steps}]
    if policy == "cosine":
        begin = warmup if settings["SOLVER.COSINE_AFTER_WARMUP"] else 0
        times = {"T_max": epochs - begin, "begin": begin, "end": epochs}
        lowest = settings["SOLVER.COSINE_END_LR"]
        return [*phases, {"type": "CosineAnnealingLR", "eta_min": lowest, **times, **steps}]
    if policy == "steps_with_relative_lrs":
        return [*phases, *_drops(settings, epochs, result)]
    result.lack("SOLVER.LR_POLICY", policy, "write the phases of schedule.lr (vidrec.engine.lr)")
    return phases


def _drops(settings: Settings, epochs: int, result: Translation) -> list[dict[str, Any]]:
    """A phase for every factor that the rate is multiplied by."""
    starts, rates = settings["SOLVER.STEPS"], settings["SOLVER.LRS"]
    if sorted(starts) != list(starts) or len(rates) < len(starts) or not starts:
        result.lack("SOLVER.STEPS", starts, "it is not one ascending list with a rate for each")
        return []
    drops: dict[float, list[int]] = {}
    for start, rate, before in zip(starts[1:], rates[1:], rates, strict=False):
        drops.setdefault(round(rate / before, 9), []).append(start)
    return [
        {"type": "MultiStepLR", "milestones": times, "gamma": factor, "begin": 0, "end": epochs}
        for factor, times in drops.items()
    ]


def _mixing(settings: Settings, result: Translation) -> None:
    if not settings["MIXUP.ENABLE"]:
        if value_at(result.cfg, "schedule.mixing") is not None:
            result.want("schedule.mixing", None, "MIXUP.ENABLE", given=False)
        return
    kinds = {"MixupBlending": "MIXUP.ALPHA", "CutmixBlending": "MIXUP.CUTMIX_ALPHA"}
    parts = [{"type": kind, "alpha": settings[key]} for kind, key in kinds.items()]
    if value_at(result.cfg, "schedule.mixing") is None:
        translate_blending({"augments": parts}, result)
    else:
        for (_, key), name in zip(kinds.items(), ("mixup", "cutmix"), strict=True):
            result.want(f"schedule.mixing.choices.{name}.alpha", settings[key], key)
    smoothing = settings["MIXUP.LABEL_SMOOTH_VALUE"]
    result.want("model.loss.label_smoothing", smoothing, "MIXUP.LABEL_SMOOTH_VALUE", default=0.0)
