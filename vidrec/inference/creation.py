"""Plain networks by name: those of conf/model, and published recipes."""

import logging
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vidrec import build
from vidrec.config.compose import conf_dir
from vidrec.config.schema import ModelConf, RecognizerConf, TrainConf
from vidrec.models.plain import PlainConfig, PlainModel
from vidrec.models.recognizer import Recognizer
from vidrec.weights import zoo
from vidrec.weights.load import load_weights

log = logging.getLogger(__name__)

_CLASSES = ("num_classes", "video_classes")  # arguments of heads and of whole networks


def model_names(folders: Sequence[Path]) -> list[str]:
    """The recognition networks of `model/` in folders of configurations, sorted."""
    files = {path.stem: path for folder in folders for path in folder.glob("model/*.yaml")}
    return sorted(name for name in files if _is_recognizer(name, files))


def recipe_names(*, with_weights: bool = False) -> list[str]:
    """The published recipes of recognition, in the order of the zoo."""
    experiments = {path.stem for path in Path(conf_dir(), "experiment").glob("*.yaml")}
    return [
        recipe.name
        for recipe in zoo.recipes().values()
        if recipe.task == "recognition"
        and recipe.name in experiments
        and (recipe.weights or not with_weights)
    ]


def matching(names: Sequence[str], pattern: str) -> list[str]:
    """Those that match a pattern with * and ?, or contain it if it has neither.

    >>> matching(["tsm", "tsn", "tsn_r101"], "tsn"), matching(["tsm", "tsn", "tsn_r101"], "ts?")
    (['tsn', 'tsn_r101'], ['tsm', 'tsn'])
    """
    whole = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    return [name for name in names if fnmatchcase(name, whole)]


def plain_model(conf: TrainConf, name: str) -> PlainModel:
    """The network of a configuration with its initial weights, in training mode on the CPU.

    name: for its `config`. Raises ValueError if it is not for recognition.
    """
    model = conf.model
    if not isinstance(model, RecognizerConf):
        raise ValueError(
            f"{name} is for {model.task}, whose networks take more than clips: build it with "
            "vidrec.build_model(vidrec.compose(...))"
        )
    net = build.build_net(model)
    assert isinstance(net, Recognizer)
    clip, channels = model.clip, model.channels
    stack = getattr(conf.data, "stack", 1)
    config = PlainConfig(
        name=name,
        num_classes=conf.data.num_classes,  # type: ignore[attr-defined]  # of recognition
        channels=channels,
        frames=clip.frames_per_view or clip.frames * clip.clips // stack,
        interval=clip.interval,
        size=clip.size,
        mean=_per_channel(model.net["mean"], channels),
        std=_per_channel(model.net["std"], channels),
    )
    return PlainModel(net, config, _classifiers(net, model))


def load_plain(net: PlainModel, source: str, model: ModelConf) -> None:
    """Load weights as before a training's first step. Raises ValueError if too few of them fit."""
    report = load_weights(
        net, source, min_backbone=model.min_backbone, allow_non_finite=model.allow_non_finite
    )
    log.info(report)
    net.config = replace(net.config, weights=source)


def _per_channel(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """From the scale 0 to 255 of a recognizer to that of pixels from 0 to 1."""
    return tuple(round(value / 255, 8) for value in values) * (channels // len(values))


def _classifiers(net: nn.Module, model: ModelConf) -> list[str]:
    """Names of the linear layers that have another shape with another number of classes."""
    with torch.device("meta"):
        other = build.build_net(ModelConf(net=_with_another_class(model.net)))
    shapes = {name: tensor.shape for name, tensor in other.named_parameters()}
    changed = [name for name, tensor in net.named_parameters() if tensor.shape != shapes[name]]
    return sorted({name.rpartition(".")[0] for name in changed})


def _with_another_class(node: Any) -> Any:
    if not isinstance(node, dict):
        return deepcopy(node)
    return {
        key: value + 1 if key in _CLASSES and isinstance(value, int) else _with_another_class(value)
        for key, value in node.items()
    }


def _is_recognizer(name: str, files: dict[str, Path]) -> bool:
    """Whether a file of conf/model, or the one that it is based on, has the recognizer's schema."""
    # Loading YAML would take a second for all files.
    defaults = re.search(r"^defaults:\n((?:[ -].*\n)+)", files[name].read_text(), re.MULTILINE)
    for entry in re.findall(r"- (\S+)$", defaults[1], re.MULTILINE) if defaults else []:
        if schema := re.match(r"/(\w+)_schema@", entry):
            return schema[1] == "recognizer"
        base = entry.rpartition("/")[2].partition("@")[0]
        if base in files and base != name:
            return _is_recognizer(base, files)
    return False
