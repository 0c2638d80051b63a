"""The Python API: configurations, networks and trained models in one call each."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from hydra.errors import HydraException
from omegaconf import OmegaConf
from torch import nn

import vidrec
from vidrec import build
from vidrec.config import validation
from vidrec.config.completion import complete
from vidrec.config.compose import composed, register
from vidrec.config.conf_folders import conf_folders, search_path, without_folders
from vidrec.config.hydra_errors import told
from vidrec.config.overrides import lenient
from vidrec.config.schema import (
    DataConf,
    FeatureDataConf,
    ModelConf,
    Node,
    TrainConf,
    VideoDataConf,
)
from vidrec.config.slips import first_slip
from vidrec.config.trust import PACKAGES
from vidrec.config.values import readable
from vidrec.data.segments.annotations import FEATURE_INTERVAL
from vidrec.errors import ConfigError, did_you_mean
from vidrec.inference import creation
from vidrec.inference.loading import check_trust
from vidrec.inference.trained import TrainedModel
from vidrec.models.plain import PlainModel
from vidrec.weights import zoo
from vidrec.weights.description import ModelDescription, description_in, trained_classes
from vidrec.weights.extractor import extractor_of
from vidrec.weights.load import load_all, load_weights
from vidrec.weights.run_directory import checkpoint_of_run, overrides_of_run

log = logging.getLogger(__name__)

# Keys of a dataset that say which samples there are, not how one is made.
_SAMPLES = ("_target_", "records", "prefix", "features", "bank", "on_bad_video", "seed")


def compose(
    *overrides: str,
    config_name: str = "train",
    packages: Sequence[str] | None = None,
    folders: Sequence[str] = (),
) -> TrainConf:
    """The checked configuration of a command line, e.g. `compose("model=tsn", "data=ucf101")`.

    overrides: as on the command line of `python train.py`. config_name: the command whose
    configuration it is. packages: those that a `_target_` may be of, if the overrides are not your
    own (`vidrec.config.trust`). folders: further folders of configurations, besides `conf/` of the
    working directory and `hydra.searchpath=[DIR]`. Raises ConfigError with every problem.
    """
    register()
    found = conf_folders(overrides, folders)
    if problem := first_slip(overrides, found):
        raise ConfigError(problem)
    given = lenient(readable([*without_folders(overrides), *search_path(found)]))
    try:
        cfg = composed(config_name, given)
    except HydraException as error:  # its own grammar, or a group that it does not find
        raise ConfigError(told(error)) from error
    for note in complete(cfg, given):
        log.info(note)
    return validation.check(cfg, OmegaConf.get_type(cfg) or TrainConf, given, packages)


def build_model(conf: TrainConf, *, pretrained: bool = False) -> nn.Module:
    """The network of a configuration, in training mode on the CPU.

    pretrained: load `model.weights`, as training does before its first step.
    """
    net = build.build_net(conf.model)
    if pretrained and conf.model.weights is not None:
        load_weights(
            net,
            conf.model.weights,
            min_backbone=conf.model.min_backbone,
            allow_non_finite=conf.model.allow_non_finite,
        )
    return net


def load_model(source: str | Path, trust: Sequence[str] = ()) -> TrainedModel:
    """A trained network in evaluation mode on the CPU: `predict(FILE)`, `net(frames)`, `features`.

    source: a run directory (its best checkpoint), a checkpoint file that vidrec wrote, or
    `zoo://STEM`, a published recipe. `net.description` is a `ModelDescription`: clip,
    preprocessing and class names. trust: packages whose classes the source may name besides those
    of `vidrec.config.trust`; nothing else that it asks for is imported or called.

    Raises ValueError if the file holds no description, does not fit or names other classes,
    FileNotFoundError if there is nothing at `source`.
    """
    source = str(source)
    if source.startswith("zoo://"):
        recipe = zoo.find(source.removeprefix("zoo://"))
        conf = compose(f"experiment={recipe.name}", "model.weights=null")
        return _loaded(build_model(conf), source, describe_model(conf))
    path = Path(source)
    run = path if path.is_dir() else None
    path = checkpoint_of_run(run) if run else path
    description = description_in(path)
    if description is None and run:
        overrides, folders = overrides_of_run(run, ["model.weights=null"])
        conf = compose(*overrides, packages=[*PACKAGES, *trust], folders=folders)
        return _loaded(build_model(conf), str(path), describe_model(conf))
    if description is None:
        raise ValueError(
            f"{source} does not describe its network: pass its run directory, or build the "
            "network with vidrec.build_model and load the file with vidrec.weights.load"
        )
    check_trust(description, path, trust)
    net = build.build_net(ModelConf(net=description.net))
    return _loaded(net, str(path), description)


def create_model(
    name: str,
    *overrides: str,
    num_classes: int | None = None,
    pretrained: bool = False,
    weights: str | Path | None = None,
    folders: Sequence[str] = (),
) -> PlainModel:
    """A plain recognition network by name, in training mode on the CPU: `net(x)` gives logits.

    name: of `list_models()`, or a published recipe. overrides: as on the command line, e.g.
    `model.net.backbone.depth=18`. num_classes: by default those of the weights or of the recipe,
    otherwise 400; 0: no classifier, so that `net(x)` gives features. pretrained: load the published
    weights, `model.weights` or those of the recipe. weights: others, as `model.weights` names them.
    folders: as in `compose`. Parts of another number of classes keep random weights.

    Raises ValueError for unknown names and if there are no weights, or too few of them fit.
    """
    known = [*creation.model_names(conf_folders(overrides, folders)), *creation.recipe_names()]
    if name not in known:
        raise ValueError(
            f"there is no recognition model '{name}' (networks of other tasks come from "
            f"vidrec.build_model); {did_you_mean(name, known)}"
        )
    is_recipe = name in creation.recipe_names()
    group = "experiment" if is_recipe else "model"
    source = str(weights) if weights is not None else f"zoo://{name}" if is_recipe else None
    classes = num_classes
    if classes is None and not (is_recipe and weights is None):
        classes = _classes_of(source) or 400
    given = [f"data.num_classes={classes}"] if classes else []
    conf = compose(f"{group}={name}", *given, *overrides, folders=folders)
    net = creation.plain_model(conf, name)
    if pretrained or weights is not None:
        source = source or conf.model.weights
        if source is None:
            raise ValueError(
                f"{name} starts from random weights: pass weights=FILE, or weights=zoo://RECIPE "
                f"with one of vidrec.list_models('{name}', pretrained=True)"
            )
        creation.load_plain(net, source, conf.model)
    if num_classes == 0:
        net.reset_classifier(0)
    return net


def list_models(pattern: str = "*", *, pretrained: bool = False) -> list[str]:
    """Names that `create_model` takes: networks, or, with `pretrained`, recipes with weights.

    pattern: a part of the name, or a pattern with * and ?.
    """
    if pretrained:
        return creation.matching(creation.recipe_names(with_weights=True), pattern)
    return creation.matching(creation.model_names(conf_folders([])), pattern)


def _classes_of(source: str | None) -> int | None:
    """The number of classes of a recipe's weights or of a checkpoint of vidrec, if it is known."""
    if source is None:
        return None
    if source.startswith("zoo://"):
        data = compose(f"experiment={source.removeprefix('zoo://')}").data
        return data.num_classes if isinstance(data, VideoDataConf) else None
    names = trained_classes(source)
    return len(names) if names else None


def features(
    net: TrainedModel,
    video: str | Path,
    *,
    window: int | None = None,
    stride: int | None = None,
) -> np.ndarray:
    """`net.features(video)`: (C,) for the whole video, or (T, C) for windows of it."""
    return net.features(video, window=window, stride=stride)


def describe_model(conf: TrainConf, class_names: list[str] | None = None) -> ModelDescription:
    """Describe how the network of a configuration is to be used.

    class_names: by default the class numbers.
    """
    num_classes = conf.data.num_classes if isinstance(conf.data, VideoDataConf) else 0
    clip = getattr(conf.model, "clip", None)
    return ModelDescription(
        version=vidrec.__version__,
        task=conf.model.task.value,
        net=dict(conf.model.net),
        clip=asdict(clip) if clip is not None else {},
        preprocessing=_preprocessing(conf.data),
        class_names=class_names or [str(number) for number in range(num_classes)],
        data=conf.data.name,
        extractor=_extractor(conf.data),
    )


def _preprocessing(data: DataConf) -> Node:
    """How the samples of a test are made; of a localizer, also how their segments get times."""
    reading = {k: v for k, v in data.test.items() if k not in _SAMPLES}
    if isinstance(data, FeatureDataConf):
        reading["merge"] = data.metric.get("merge")
        records = data.test.get("records") or {}
        reading["feature_interval"] = records.get("feature_interval", FEATURE_INTERVAL)
    return reading


def _extractor(data: DataConf) -> Node | None:
    """What the features of a localizer were extracted with, if their folder says so."""
    found = extractor_of(data.features) if isinstance(data, FeatureDataConf) else None
    return None if found is None else found.values


def _loaded(net: nn.Module, source: str, description: ModelDescription) -> TrainedModel:
    load_all(net, source)
    return TrainedModel(net, description, source)
