"""Start-up validation: all that is wrong with a configuration, found before any data is opened.

`check` collects the problems as sentences, each with the full path of its key and a suggestion.
The steps are in files of their own: unknown_keys, unread_keys and undefined_names look at the keys
that were written, limits at single values, signatures at the arguments of `_target_` nodes,
interfaces at what their classes offer,
consistency and task_checks at values that do not fit each other, file_formats at suffixes.
"""

import dataclasses
import functools
import re
import typing
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vidrec.config import consistency, file_formats, task_checks
from vidrec.config.compose import SCHEMAS, current_overrides
from vidrec.config.contributions import contributions, origins
from vidrec.config.interfaces import unfit_classes
from vidrec.config.limits import (
    not_finite,
    outside_limits,
    outside_optimizer_limits,
    wrong_kinds,
)
from vidrec.config.schema import DataConf, ModelConf, TrainConf
from vidrec.config.signatures import wrong_arguments, wrong_rules
from vidrec.config.trust import untrusted_targets
from vidrec.config.undefined_names import undefined_names
from vidrec.config.unknown_keys import missing_values, unknown_keys
from vidrec.config.unread_keys import unread_keys
from vidrec.errors import ConfigError


def check(
    cfg: DictConfig,
    schema: type[TrainConf] = TrainConf,
    overrides: Sequence[str] | None = None,
    packages: Sequence[str] | None = None,
) -> TrainConf:
    """The configuration as dataclasses.

    cfg: the composed configuration; keys added with `+` are checked too. schema: of the command.
    overrides: the command line that `cfg` was composed with; by default the one that Hydra got.
    packages: those that a `_target_` may be of, where a run directory had a part in `cfg`; None:
        any. Nothing is imported before this is checked.

    Raises ConfigError with every problem found.
    """
    if overrides is None:
        overrides = current_overrides() if HydraConfig.initialized() else []
    try:
        return _checked(cfg, schema, overrides, packages)
    except OmegaConfBaseException as error:  # an interpolation of what does not exist
        raise ConfigError(_one_sentence(error)) from None


def _checked(
    cfg: DictConfig,
    schema: type[TrainConf],
    overrides: Sequence[str],
    packages: Sequence[str] | None,
) -> TrainConf:
    _refuse(_no_schema(cfg))
    _refuse(task_checks.mismatch(cfg))  # whatever else is wrong comes of it
    unknown = dict(unknown_keys(cfg, schema))
    problems = [f"{path}: {sentence}" for path, sentence in unknown.items()]
    problems += unread_keys(cfg, overrides, skip=unknown)
    problems += [f"{path} needs a value: {path}=..." for path in missing_values(cfg)]
    _refuse(problems)
    names = (name for name, node in SCHEMAS.items() if node is schema)
    command = next(names).removesuffix("_schema")
    _refuse(undefined_names(cfg, command, overrides))
    plain, conf = _resolved(cfg, schema)
    if packages is not None:
        _refuse([*untrusted_targets(plain, packages)])
    _refuse([*wrong_kinds(conf), *not_finite(plain)])
    known = functools.cache(lambda: origins(contributions(command, overrides)))
    problems = [*outside_limits(conf), *wrong_arguments(plain, known)]
    problems += wrong_rules("schedule.param_groups", conf.schedule.param_groups)
    _refuse(problems)
    _refuse(unfit_classes(plain))
    _refuse(outside_optimizer_limits(conf.schedule))
    _refuse(
        [*consistency.problems(conf), *task_checks.problems(conf), *file_formats.problems(conf)]
    )
    return conf


def _refuse(problems: Iterator[str] | Sequence[str]) -> None:
    found = list(dict.fromkeys(problems))
    if len(found) == 1:
        raise ConfigError(found[0])
    if found:
        lines = "\n".join(f"  - {problem}" for problem in found)
        raise ConfigError(f"{len(found)} problems:\n{lines}")


def _no_schema(cfg: DictConfig) -> Iterator[str]:
    """Groups whose files name none of the schemas of `vidrec.config.compose.SCHEMAS`."""
    starts = {
        "model": (ModelConf, "/recognizer_schema@_here_"),
        "data": (DataConf, "videos, boxes or features"),
    }
    for group, (base, start) in starts.items():
        if group in cfg and OmegaConf.get_type(cfg._get_node(group)) is base:
            yield (
                f"{group}: its file in conf/{group} names no schema: begin its defaults with "
                f"{start}, as the files beside it do"
            )


def _resolved(cfg: DictConfig, schema: type[TrainConf]) -> tuple[dict[str, Any], TrainConf]:
    """All values with their interpolations resolved: as plain dictionaries and as dataclasses."""
    # The groups have schemas of their own, which those of the command only have a base class of.
    parts = {field.name: cfg._get_node(field.name) for field in dataclasses.fields(TrainConf)}
    kinds = {name: OmegaConf.get_type(part) for name, part in parts.items()}
    plain = OmegaConf.to_container(cfg, resolve=True)
    empty = schema(**{name: kind() for name, kind in kinds.items() if kind})
    conf = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(empty), plain))
    return typing.cast(dict[str, Any], plain), typing.cast(TrainConf, conf)


def _one_sentence(error: OmegaConfBaseException) -> str:
    key = getattr(error, "full_key", None)
    text = str(error).splitlines()[0]
    if lost := re.match(r"Interpolation key '(.+)' not found", text):
        return (
            f"{key} refers to {lost[1]}, which is not there: give it another value, or replace "
            "what holds it whole (docs/own_code.md)"
        )
    # What a resolver says for itself; the key is only where its value was needed first.
    _, resolver, reason = text.partition(" raised while resolving interpolation: ")
    if resolver:
        return reason
    return f"{key}: {text}" if key and key not in text else text
