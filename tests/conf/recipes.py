"""What the tests of published recipes share: composing, and comparing with published arguments.

How published classes are named here is in published_*.py beside this file.
"""

import contextlib
import functools
import inspect
import runpy
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hydra.utils import get_object
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

import vidrec
from vidrec.config.schema import TrainConf

CLASSES: dict[str, dict[str, Any]] = {"BACKBONES": {}, "HEADS": {}, "NECKS": {}, "WEIGHTS": {}}
for path in sorted(Path(__file__).parent.glob("published_*.py")):
    tables = runpy.run_path(str(path))
    for kind, found in CLASSES.items():
        found |= tables.get(kind, {})
PHASES = {"LinearLR": "Linear", "MultiStepLR": "MultiStep", "CosineAnnealingLR": "Cosine"}


composed = functools.cache(vidrec.compose)  # several tests look at one recipe


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
    """All arguments that the constructor works with, those of its base classes included."""
    given = {key: value for key, value in arguments.items() if key != "_target_"}
    found = _all(get_object(target), given)
    return {name: list(v) if isinstance(v, tuple) else v for name, v in found.items()}


def _all(target: Any, given: dict[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(target).parameters.values()
    own = {p.name: p.default for p in parameters if p.default is not p.empty} | given
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        return own
    # What it passes on to the constructor that it is built on, which is not run.
    base = next(c for c in target.__mro__[1:] if "__init__" in vars(c))
    signature = inspect.signature(base)
    patched = mock.patch.object(base, "__init__", side_effect=_Reached)
    with patched as init, contextlib.suppress(_Reached):
        target(**given)
    arguments = dict(signature.bind(*init.call_args.args, **init.call_args.kwargs).arguments)
    return _all(base, arguments | arguments.pop("options", {})) | own


class _Reached(Exception):
    """The base class's constructor was called."""


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


def one_per_family(stems):
    """The stems as parameters: the first of each family runs by default, the others are slow."""
    parameters, families = [], set()
    for stem in sorted(stems):
        family = stem.split("_")[0]
        marks = [pytest.mark.slow] if family in families else []
        parameters.append(pytest.param(stem, marks=marks))
        families.add(family)
    return parameters
