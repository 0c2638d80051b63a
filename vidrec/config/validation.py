"""Startup validation: all that is wrong with a configuration, said before any data is opened.

`check` returns the problems as sentences with the full path of each key and the nearest valid name.
"""

import collections.abc
import dataclasses
import difflib
import enum
import importlib
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vidrec.config.schema import EvaluateConf, ParamRule, TrainConf
from vidrec.errors import ConfigError

RESERVED = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}


def check(cfg: DictConfig, schema: type[TrainConf] = TrainConf) -> TrainConf:
    """The configuration as dataclasses, or ConfigError with every problem in it.

    cfg: the composed configuration; keys added with `+` are checked too. schema: TrainConf or
        EvaluateConf.
    """
    problems = list(_unknown_keys(cfg, schema, ""))
    problems += [f"{path} needs a value: {path}=..." for path in _missing(cfg, "")]
    if problems:
        raise ConfigError(_listing(problems))
    try:
        plain = OmegaConf.to_container(cfg, resolve=True)
        typed = OmegaConf.merge(OmegaConf.structured(schema), plain)
        conf = typing.cast(TrainConf, OmegaConf.to_object(typed))
    except OmegaConfBaseException as error:
        raise ConfigError(_listing([_one_sentence(error)])) from None
    if problem := _other_task(conf):
        raise ConfigError(problem)  # whatever else is wrong comes of it
    problems = list(_ranges(conf))
    for path, node in _target_nodes(plain, ""):
        problems += _check_target(path, node)
    for name, rule in conf.schedule.param_groups.items():
        problems += _check_rule(f"schedule.param_groups.{name}", rule)
    problems = list(dict.fromkeys(problems)) or [*_consistency(conf), *_evaluation(conf)]
    if problems:
        raise ConfigError(_listing(problems))
    return conf


def _listing(problems: list[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return f"{len(problems)} problems:\n" + "\n".join(f"  - {problem}" for problem in problems)


def _one_sentence(error: OmegaConfBaseException) -> str:
    key = getattr(error, "full_key", None)
    text = str(error).splitlines()[0]
    return f"{key}: {text}" if key and key not in text else text


def _near(name: str, known: Sequence[str]) -> str:
    match = difflib.get_close_matches(name, known, 1)
    return f"; did you mean '{match[0]}'?" if match else f"; it knows {', '.join(sorted(known))}"


def _unknown_keys(cfg: DictConfig, schema: Any, path: str) -> Iterator[str]:
    """Keys that no dataclass owns; `+key=value` gets them past Hydra."""
    fields = typing.get_type_hints(schema)
    for key in map(str, cfg):
        where = f"{path}{key}"
        if key not in fields:
            yield f"{where}: there is no such key{_near(key, list(fields))}"
            continue
        # The node itself, so that interpolations and missing values are left for later.
        node = cfg._get_node(key)
        if not isinstance(node, DictConfig) or node._is_none() or node._is_missing():
            continue
        kind = fields[key]
        if dataclasses.is_dataclass(kind) and not node._is_interpolation():
            yield from _unknown_keys(node, kind, f"{where}.")


def _missing(node: Any, path: str) -> Iterator[str]:
    """Paths of the values that are still ???, interpolations apart."""
    keys: Any = node if isinstance(node, DictConfig) else range(len(node))
    for key in keys:
        child = node._get_node(key)
        if OmegaConf.is_missing(node, key) and not child._is_interpolation():
            yield f"{path}{key!s}"
        elif OmegaConf.is_config(child) and not child._is_none() and not child._is_interpolation():
            yield from _missing(child, f"{path}{key!s}.")


def _target_nodes(node: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping that has a `_target_`, with its path."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from _target_nodes(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from _target_nodes(value, f"{path}.{i}")


def locate(target: str) -> Callable[..., Any]:
    """The class or function of a dotted path. ImportError or AttributeError says what is wrong."""
    parts = target.split(".")
    for split in range(len(parts), 0, -1):
        module_name = ".".join(parts[:split])
        try:
            found: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            # Only "this very module does not exist" goes on to its parent.
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise
            continue
        for part in parts[split:]:
            if not hasattr(found, part):
                raise AttributeError(f"{module_name} has no '{part}'{_near(part, _public(found))}")
            found = getattr(found, part)
        if not callable(found):
            raise AttributeError(f"{target} is not a class or a function")
        return found
    raise ModuleNotFoundError(f"there is no module '{parts[0]}'")


def _public(owner: Any) -> list[str]:
    return [name for name, value in vars(owner).items() if callable(value) and name[0] != "_"]


def _signature(target: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], bool] | None:
    """Parameters by name, and whether any other keyword is taken; None where nobody can tell."""
    functions: list[Any] = [target]
    if inspect.isclass(target):
        functions = [
            vars(c)["__init__"] for c in target.__mro__ if "__init__" in vars(c) and c is not object
        ]
    parameters: dict[str, inspect.Parameter] = {}
    for depth, function in enumerate(functions):
        try:
            found = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            return None
        for parameter in found[1 if inspect.isclass(target) else 0 :]:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                # What a base class requires is the subclass's business.
                inherited = parameter.replace(default=None) if depth else parameter
                parameters.setdefault(parameter.name, inherited)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in found):
            return parameters, False
        if named := _unpacked(_hints_of(function)):
            for name in named:
                option = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
                parameters.setdefault(name, option)
            return parameters, False
    return parameters, True


def _check_target(path: str, node: Mapping[str, Any]) -> Iterator[str]:
    target = node["_target_"]
    try:
        function = locate(target)
    except (ImportError, AttributeError) as error:
        yield f"{path}._target_: {target} cannot be used: {error}"
        return
    signature = _signature(function)
    if signature is None:
        return
    parameters, takes_any = signature
    hints = _hints(function)
    short = target.rsplit(".", 1)[-1]
    for key, value in node.items():
        if key in RESERVED:
            continue
        if key in parameters:
            if key in hints and not (isinstance(value, Mapping) and "_target_" in value):
                yield from _misfit(f"{path}.{key}", value, hints[key])
        elif not takes_any:
            yield f"{path}.{key}: {short} takes no '{key}'{_near(key, list(parameters))}"
    if not node.get("_partial_", False):
        for name, parameter in parameters.items():
            if parameter.default is parameter.empty and name not in node:
                yield f"{path}.{name}: {short} needs a value for '{name}'"


def _check_rule(path: str, rule: Any) -> Iterator[str]:
    """A named rule of `schedule.param_groups`; null drops an inherited one."""
    if rule is not None and not isinstance(rule, Mapping):
        yield f"{path}={rule!r} is not a rule such as {{name: cls_head, lr: 5}}"
        return
    hints = typing.get_type_hints(ParamRule)
    for key, value in (rule or {}).items():
        if key not in hints:
            yield f"{path}.{key}: a rule has no '{key}'{_near(key, list(hints))}"
        else:
            yield from _misfit(f"{path}.{key}", value, hints[key])


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    """Types of all parameters that `_signature` finds, by name."""
    inits = [vars(c)["__init__"] for c in getattr(target, "__mro__", ()) if "__init__" in vars(c)]
    hints: dict[str, Any] = {}
    for function in reversed(inits or [target]):
        own = _hints_of(function)
        hints |= own | _unpacked(own)
    return hints


def _hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):
        return {}


def _unpacked(hints: Mapping[str, Any]) -> dict[str, Any]:
    """The keys, with their types, of a TypedDict that types `**options` (PEP 692)."""
    for hint in hints.values():
        if get_origin(hint) is typing.Unpack:
            return typing.get_type_hints(get_args(hint)[0])
    return {}


def _misfit(path: str, value: Any, annotation: Any) -> Iterator[str]:
    if _fits(value, annotation):
        return
    wanted = getattr(annotation, "__name__", None) if inspect.isclass(annotation) else None
    hint = ""
    if isinstance(value, str) and value.strip()[:1] in ("[", "{", "("):
        hint = "; it is quoted and so became text: write it without the inner quotes"
    kind = wanted or re.sub(r"\b(typing|collections\.abc)\.", "", str(annotation))
    yield f"{path}: {value!r} is not {kind}{hint}"


def _fits(value: Any, annotation: Any) -> bool:
    """Whether a plain YAML value fits an annotation; unknown kinds pass."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any or annotation is inspect.Parameter.empty:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, option) for option in arguments)
    if origin is Literal:
        return value in arguments
    if annotation is None or annotation is type(None):
        return value is None
    if origin in (list, tuple, Sequence, collections.abc.Iterable, set):
        items = [argument for argument in arguments if argument is not Ellipsis]
        if not isinstance(value, list):
            return False
        if origin is tuple and Ellipsis not in arguments and items:
            return len(value) == len(items) and all(map(_fits, value, items))
        return not items or all(_fits(item, items[0]) for item in value)
    if origin in (dict, Mapping, collections.abc.MutableMapping):
        return isinstance(value, Mapping)
    if not inspect.isclass(annotation):
        return True
    if annotation is bool:
        return isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if issubclass(annotation, enum.Enum):
        return isinstance(value, annotation) or value in [m.value for m in annotation]
    if annotation in (str, list, tuple, dict):
        return isinstance(value, (list, tuple) if annotation in (list, tuple) else annotation)
    return True


# Smallest and largest sensible value of the plain numbers.
_RANGES: dict[str, tuple[float, float]] = {
    "model.min_backbone": (0, 1),
    "model.clip.frames": (1, 4096),
    "model.clip.interval": (1, 4096),
    "model.clip.clips": (1, 4096),
    "model.clip.test_clips": (1, 4096),
    "model.clip.frames_per_view": (1, 4096),
    "model.clip.size": (1, 8192),
    "model.clip.short_side": (1, 8192),
    "model.clip.test_size": (1, 8192),
    "data.num_classes": (1, 10_000_000),
    "data.max_bad_fraction": (0, 1),
    "data.feat_dim": (1, 1_000_000),
    "data.temporal_dim": (4, 10_000),
    "schedule.epochs": (1, 1_000_000),
    "schedule.batch_size": (1, 1_000_000),
    "schedule.val_batch_size": (1, 1_000_000),
    "schedule.test_batch_size": (1, 1_000_000),
    "schedule.accumulate": (1, 1_000_000),
    "schedule.layer_decay": (1e-3, 1),
    "schedule.clip_norm": (1e-12, float("inf")),
    "schedule.base_batch_size": (1, 10_000_000),
    "schedule.val_begin": (1, 1_000_000),
    "schedule.val_interval": (1, 1_000_000),
    "schedule.ema": (0, 1),
    "schedule.precise_bn": (0, 1_000_000),
    "schedule.max_steps": (1, 1_000_000_000),
    "runtime.seed": (0, 2**31 - 1),
    "runtime.num_workers": (0, 1024),
    "runtime.prefetch": (1, 1024),
    "runtime.threads": (1, 4096),
    "runtime.log_every": (1, 1_000_000_000),
    "runtime.save_every_epochs": (1, 1_000_000),
    "runtime.save_every_minutes": (0.01, 1e6),
    "runtime.keep": (0, 1_000_000),
    "runtime.dist_timeout_minutes": (0.01, 1e6),
}


def _ranges(conf: TrainConf) -> Iterator[str]:
    for path, (low, high) in _RANGES.items():
        value: Any = conf
        for name in path.split("."):
            value = getattr(value, name)
        if value is not None and not low <= value <= high:
            yield f"{path}={value} is outside [{low:g}, {high:g}]"
    for path, value, known in (
        ("data.on_bad_video", conf.data.on_bad_video, ["raise", "skip", "replace"]),
        ("runtime.device", conf.runtime.device.split(":")[0], ["auto", "cpu", "cuda"]),
    ):
        if value not in known:
            yield f"{path}='{value}'{_near(value, known)}"


def _other_task(conf: TrainConf) -> str | None:
    if conf.model.sample == conf.data.sample:
        return None
    return (
        f"the model eats {conf.model.sample} samples (model.sample) and data={conf.data.name} "
        f"gives {conf.data.sample} (data.sample): choose a model and data of one task"
    )


def _consistency(conf: TrainConf) -> Iterator[str]:
    """What is right alone and wrong together."""
    model, data, schedule, runtime = conf.model, conf.data, conf.schedule, conf.runtime
    if model.channels != data.channels:
        yield (
            f"model.channels={model.channels}, but data={data.name} gives frames of "
            f"{data.channels} channels "
            "(data.channels): optical flow needs 2 x clip.frames, RGB 3"
        )
    mean, std = model.net.get("mean"), model.net.get("std")
    for name, values in (("mean", mean), ("std", std)):
        if isinstance(values, list) and len(values) not in (1, model.channels):
            yield f"model.net.{name} has {len(values)} values for {model.channels} channels"
    if schedule.mixing is not None and "_target_" not in schedule.mixing:
        yield "schedule.mixing is not chosen: take one with schedule/mixing=mixup, or leave it null"
    if schedule.mixing is not None and model.sample != "clip":
        yield f"schedule.mixing mixes clips, the model eats {model.sample}: schedule.mixing=null"
    yield from _epochs(schedule.epochs, schedule.lr, schedule.val_begin)
    if runtime.persistent_workers and runtime.num_workers == 0:
        yield (
            "runtime.persistent_workers=true needs runtime.num_workers > 0: "
            "leave persistent_workers null, or ask for workers"
        )
    clip = model.clip
    for name, clips in (("clips", clip.clips), ("test_clips", clip.test_clips)):
        frames = clip.frames * clips
        if clip.frames_per_view and frames % clip.frames_per_view:
            yield (
                f"model.clip.frames_per_view={clip.frames_per_view} does not divide the {frames} "
                "frames "
                f"of {name}={clips} clips of {clip.frames}"
            )
    if clip.size > clip.short_side:
        yield f"model.clip.size={clip.size} is larger than model.clip.short_side={clip.short_side}"
    for name in ("train", "val", "test"):
        steps = data.transforms.get(name, {} if data.sample != "clip" else None)
        if not isinstance(steps, dict):
            yield f"data.transforms.{name} is {steps!r}, not an ordered mapping of named steps"
            continue
        for step, node in steps.items():
            if node is not None and not (isinstance(node, dict) and "_target_" in node):
                yield (
                    f"data.transforms.{name}.{step} is {node!r}: a step needs a _target_, "
                    "or null to drop it"
                )
    classes = model.net.get("cls_head", {}).get("num_classes")
    if isinstance(classes, int) and classes != data.num_classes:
        yield (
            f"model.net.cls_head.num_classes={classes}, but data={data.name} has "
            f"data.num_classes={data.num_classes}"
        )


def _epochs(epochs: int, phases: Mapping[str, Any], val_begin: int) -> Iterator[str]:
    for name, phase in phases.items():
        if not isinstance(phase, Mapping) or not phase.get("by_epoch", True):
            continue
        late = [m for m in phase.get("milestones") or [] if m >= epochs]
        if late:
            yield (
                f"schedule.lr.{name}.milestones: {late} is not before the end at "
                f"schedule.epochs={epochs}"
            )
        begin = phase.get("begin") or 0
        if begin >= epochs:
            yield f"schedule.lr.{name}.begin={begin} is not before schedule.epochs={epochs}"
    if val_begin > epochs:
        yield f"schedule.val_begin={val_begin} is past the last epoch, schedule.epochs={epochs}"


def _evaluation(conf: TrainConf) -> Iterator[str]:
    if not isinstance(conf, EvaluateConf):
        return
    if conf.split not in ("val", "test"):
        yield f"split='{conf.split}': choose val or test"
    if conf.pictures and conf.data.sample == "clip":
        yield "pictures is for segments and boxes; a clip model has none"
    if conf.score_weights and len(conf.score_weights) != len(conf.score):
        yield (
            f"score_weights has {len(conf.score_weights)} values for the {len(conf.score)} "
            "files in score"
        )
