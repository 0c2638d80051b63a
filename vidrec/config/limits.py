"""Single values that are outside of what their field allows (`vidrec.config.fields`), wherever they
are.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vidrec.config import fields
from vidrec.config.compose import conf_dir
from vidrec.config.schema import ParamRule, ScheduleConf, TrainConf, VideoDataConf
from vidrec.errors import did_you_mean

# Arguments of torch's optimizers, of which torch itself checks few.
_OPTIMIZER: dict[str, tuple[float, float]] = {
    "lr": (0, 1e3),
    "weight_decay": (0, 1e3),
    "momentum": (0, 0.9999),
    "dampening": (0, 1),
    "betas": (0, 1),
    "alpha": (0, 1),
    "eps": (0, 1),
}
_LARGEST = 2**31 - 1  # of all whole numbers: more are no seeds, sizes or counts


def wrong_kinds(conf: TrainConf) -> Iterator[str]:
    """Values in the place of mappings with a `_target_`."""
    for name in ("model", "data", "schedule"):
        part = getattr(conf, name)
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if fields.is_made(field) and not (value is None and field.default is None):
                yield from _no_target(f"{name}.{field.name}", value)
    yield from _wrong_entries("schedule.lr", conf.schedule.lr)
    if isinstance(conf.data, VideoDataConf):
        yield from _wrong_entries("data.sampling", conf.data.sampling)
    optimizer = conf.schedule.optimizer
    if optimizer.get("_partial_") is not True:
        yield "schedule.optimizer needs _partial_: true, since the parameters come later"
    lr = optimizer.get("lr")
    if not isinstance(lr, int | float) or isinstance(lr, bool):
        yield f"schedule.optimizer.lr={lr!r} is not a number"


def _wrong_entries(path: str, entries: Mapping[str, object]) -> Iterator[str]:
    for name, value in entries.items():
        if value is not None:
            yield from _no_target(f"{path}.{name}", value)


def _no_target(path: str, value: object) -> Iterator[str]:
    if not (isinstance(value, Mapping) and isinstance(value.get("_target_"), str)):
        group = path.replace(".", "/")
        hint = f": choose {group}=NAME" if Path(conf_dir(), group).is_dir() else ""
        yield f"{path}={value!r} is no mapping with a _target_{hint}"


def outside_limits(conf: Any, path: str = "") -> Iterator[str]:
    """Numbers that are too small or too large, and words that are no choice, at any depth.

    conf: an instance of a dataclass.
    """
    for field in dataclasses.fields(conf):
        value, where = getattr(conf, field.name), f"{path}{field.name}"
        if dataclasses.is_dataclass(value):
            yield from outside_limits(value, f"{where}.")
        if value is None:
            continue
        if limits := fields.limits(field):
            yield from _outside(where, value, limits)
        choices = fields.choices(field)
        if choices and str(value) not in choices:
            yield f"{where}='{value}'; {did_you_mean(str(value), choices)}"


def outside_optimizer_limits(schedule: ScheduleConf) -> Iterator[str]:
    """Settings of the optimizer and of the rules for parameters that cannot be right."""
    for name, limits in _OPTIMIZER.items():
        values = schedule.optimizer.get(name)
        for value in values if isinstance(values, list) else [values]:
            yield from _outside(f"schedule.optimizer.{name}", value, limits)
    bounds = {field.name: fields.limits(field) for field in dataclasses.fields(ParamRule)}
    for title, rule in schedule.param_groups.items():
        for name, value in (rule or {}).items():
            if allowed := bounds.get(name):
                yield from _outside(f"schedule.param_groups.{title}.{name}", value, allowed)


def _outside(where: str, value: object, limits: tuple[float, float]) -> Iterator[str]:
    if isinstance(value, int | float) and not limits[0] <= value <= limits[1]:
        yield f"{where}={value} is outside [{limits[0]:g}, {limits[1]:g}]"


def not_finite(node: object, path: str = "") -> Iterator[str]:
    """Numbers of a resolved configuration that are NaN, infinite or too large, at any depth."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from not_finite(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from not_finite(value, f"{path}.{i}")
    elif isinstance(node, float) and not math.isfinite(node):
        yield f"{path}={node} is not a finite number"
    elif isinstance(node, int) and abs(node) > _LARGEST:
        yield f"{path}={node} is larger than {_LARGEST}"
