"""The Python API: configurations, networks and trained models in one call each."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

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
from vidrec.errors import ConfigError
from vidrec.inference.loading import check_trust
from vidrec.inference.trained import TrainedModel
from vidrec.weights.description import ModelDescription, description_in
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
    """A trained network in evaluation mode on the CPU, with a `description`.

    source: a run directory (its best checkpoint), a checkpoint file that vidrec wrote, or
    `zoo://STEM`, a published recipe. `net.description` is a `ModelDescription`: clip,
    preprocessing and class names. trust: packages whose classes the source may name besides those
    of `vidrec.config.trust`; nothing else that it asks for is imported or called.

    Raises ValueError if the file holds no description, does not fit or names other classes,
    FileNotFoundError if there is nothing at `source`.
    """
    source = str(source)
    if source.startswith("zoo://"):
        conf = compose(f"experiment={source.removeprefix('zoo://')}", "model.weights=null")
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
