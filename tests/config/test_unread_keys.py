"""A key that somebody sets has an effect, or is refused."""

import copy
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, ListConfig, OmegaConf

from vidrec.config import fields, validation
from vidrec.config import schema as schemas
from vidrec.config.compose import conf_dir, register
from vidrec.config.overrides import lenient
from vidrec.config.unread_keys import keys_set, unread_keys
from vidrec.errors import ConfigError

MODELS = sorted(path.stem for path in Path(conf_dir(), "model").glob("*.yaml"))
DATA = sorted(path.stem for path in Path(conf_dir(), "data").glob("*.yaml"))
BMN = "model=bmn"
AVA = "model=slowonly_ava_tiny"


def composed(*overrides: str) -> DictConfig:
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        return compose("train", overrides=lenient(list(overrides)))


def refusal(*overrides: str) -> str:
    cfg = composed(*overrides)
    with pytest.raises(ConfigError) as raised:
        validation.check(cfg, overrides=overrides)
    return str(raised.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.feat_dim=7"],
        ["data.temporal_dim=50"],
        ["data.resize=true"],
        ["data.channels_first=true"],
        ["data.skip_missing=true"],
        ["data.cache=/x"],
        ["data.proposals=/x"],
        ["data.features=/x"],
        ["data.kind=zzz"],
        ["data.folder=zzz"],
        ["data.fold=2"],
        ["++data.fold=2"],
        ["data.transforms.trian.flip=null"],
        ["+data.sampling.extra={clip_len: 3}"],
        ["data=folders", "data.root=/x", "data.num_classes=3", "data.multi_label=true"],
        ["data/views=ten_crop", "model.clip.test_size=64"],
        [BMN, "model.clip.frames=16"],
        [BMN, "data.stack=3"],
        [BMN, "data.on_bad_video=skip"],
        [BMN, "data.max_bad_fraction=0.5"],
        [BMN, "data.multi_label=true"],
        [BMN, "data.num_classes=7"],
        [BMN, "data.transforms.train.flip=null"],
        [BMN, "+data.sampling.train={clip_len: 3}"],
        [BMN, "model.channels=2"],
        ["model=bsn_pem", "data.feat_dim=9"],
        [AVA, "model.clip.clips=8"],
        [AVA, "model.clip.test_clips=8"],
        [AVA, "model.clip.frames_per_view=8"],
        [AVA, "data.feat_dim=9"],
        [AVA, "data.kind=rawframes"],
        [AVA, "data.class_names=/x"],
    ],
    ids=" ".join,
)
def test_a_key_that_nothing_reads_is_refused_with_its_path_and_a_suggestion(overrides):
    key = overrides[-1].lstrip("+").partition("=")[0]
    message = refusal(*overrides)
    assert key in message or f"{key.rsplit('.', 1)[0]}:" in message or "data.transforms:" in message
    assert "did you mean" in message or "there are" in message


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.root=/x", "data.class_names=null", "data.stack=1", "schedule.test_batch_size=3"],
        ["data.transforms.test.crop.crop_size=40", "data.test.num_classes=8"],
        ["model=tsn", "data=ucf101_lists", "data.fold=2", "data.kind=rawframes", "data.folder=x"],
        ["data/views=three_crop", "model.clip.test_size=64"],
        ["data/format=json", "data.class_names=/x", "data.multi_label=false"],
        [BMN, "data.feat_dim=7", "data.temporal_dim=50", "data.resize=true", "data.cache=/x"],
        [AVA, "model.clip.frames=4", "data.multi_label=false", "data.on_bad_video=skip"],
        ["~data.transforms.train.flip", "schedule.mixing=null", "runtime=debug"],
    ],
    ids=" ".join,
)
def test_a_key_that_something_reads_passes(overrides):
    validation.check(composed(*overrides), overrides=overrides)


def effective(cfg: DictConfig) -> list[Any]:
    """What is built: the resolved nodes that `vidrec.build` instantiates."""
    nodes = [cfg.model[key] for key in ("net", "loss")]
    nodes += [cfg.data[key] for key in ("train", "val", "test", "metric", "prepare")]
    nodes.append(cfg.schedule.mixing)
    return [
        OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
        for node in nodes
    ]


def referenced_leaves(node: DictConfig, path: str) -> Iterator[str]:
    """Full paths of the values below `node` that no code reads, as their dataclasses declare."""
    for field in dataclasses.fields(OmegaConf.get_type(node)):
        child = node._get_node(field.name)
        if fields.is_referenced(field):
            yield from leaves(child, f"{path}.{field.name}")
        elif dataclasses.is_dataclass(OmegaConf.get_type(child)):
            yield from referenced_leaves(child, f"{path}.{field.name}")


def leaves(node: Any, path: str) -> Iterator[str]:
    if not isinstance(node, DictConfig) or node._is_none() or node._is_interpolation():
        yield path
        return
    for key in node:
        if isinstance(key, str):  # the numbers of a map of labels are no keys of the command line
            yield from leaves(node._get_node(key), f"{path}.{key}")


def another(value: Any) -> Any:
    """A value of the same type other than the present one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, ListConfig):
        return list(value)[1:]
    return value + 1 if isinstance(value, int | float) else "another"


def assert_has_an_effect_or_is_refused(cfg: DictConfig, group: str) -> None:
    before = effective(cfg)
    for key in referenced_leaves(cfg[group], group):
        changed = copy.deepcopy(cfg)
        OmegaConf.update(changed, key, another(OmegaConf.select(cfg, key)), merge=False)
        has_effect = effective(changed) != before
        refused = list(unread_keys(changed, [f"{key}=..."]))
        assert has_effect != bool(refused), key


def mostly_slow(names: list[str], fast: set[str]) -> list[Any]:
    return [pytest.param(n, marks=() if n in fast else pytest.mark.slow) for n in names]


SOME_DATA = {"ucf101", "shapes_ava", "thumos14", "activitynet_proposals"}


@pytest.mark.parametrize("data", mostly_slow(DATA, SOME_DATA))
def test_every_value_of_the_data_has_an_effect_or_is_refused(data):
    models = {"proposals": "bsn_pem", "features": "bmn", "detection": "slowonly_ava_tiny"}
    given = composed(f"data={data}").data
    model = models.get(given.get("inputs") or given.task, "tsn_tiny")
    classes = ["data.num_classes=3"] if given.task != "localization" else []
    cfg = composed(f"model={model}", f"data={data}", "data.root=/x", *classes)
    assert_has_an_effect_or_is_refused(cfg, "data")


SOME_MODELS = {"tsn", "uniformerv2", "slowonly_ava"}


@pytest.mark.parametrize("model", mostly_slow(MODELS, SOME_MODELS))
def test_every_value_of_the_model_has_an_effect_or_is_refused(model):
    assert_has_an_effect_or_is_refused(composed(f"model={model}"), "model")


def test_what_is_declared_as_read_by_code_is_an_attribute_that_code_reads():
    package = Path(conf_dir()).parent / "vidrec"
    files = [p for p in package.rglob("*.py") if p.parent.name != "config"]
    code = "\n".join(path.read_text() for path in files)
    for schema in (*schemas.MODELS, *schemas.DATA, schemas.ClipConf, schemas.KeyFrameClipConf):
        for field in dataclasses.fields(schema):
            if not fields.is_referenced(field) and field.name not in CHECKED:
                # Splits are read as getattr(data, split).
                word = rf"\.{field.name}\b|\"{field.name}\""
                assert re.search(word, code), (schema.__name__, field.name)


# Facts that the start-up checks alone compare.
CHECKED = ("inputs",)


def test_the_keys_of_an_experiment_are_looked_at():
    """tests/conf checks all experiments, with this included."""
    stem = "tsn_imagenet-pretrained-r50_8xb32-dense-1x1x5-100e_kinetics400-rgb"
    assert ("model", "clip", "clips") in set(keys_set([f"experiment={stem}"]))
    # With other data some of them may have no effect, which is no mistake of the user.
    assert not set(keys_set([f"experiment={stem}", "data=shapes"]))
