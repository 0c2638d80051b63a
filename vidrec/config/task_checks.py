"""Values that are right alone and wrong together, task by task. Imports nothing heavy."""

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vidrec.config.schema import (
    ClipConf,
    ClipDataConf,
    DetectorConf,
    EvaluateConf,
    RecognizerConf,
    Task,
    TrainConf,
    VideoDataConf,
)


def mismatch(cfg: DictConfig) -> Iterator[str]:
    """A sentence where model, data and mixing are of different tasks, or the inputs differ.

    cfg: as composed, since values of one group that refer to another cannot be resolved then.
    """
    name = OmegaConf.select(cfg, "data.name")
    model, data = (OmegaConf.select(cfg, f"{group}.task") for group in ("model", "data"))
    expected, given = (OmegaConf.select(cfg, f"{group}.inputs") for group in ("model", "data"))
    if model != data:
        yield (
            f"the model is for {model} (model.task), but data={name} is for {data} (data.task): "
            "choose a model and data of one task"
        )
    elif model == Task.localization and expected != given:
        yield (
            f"the model expects {expected} (model.inputs), but data={name} gives {given} "
            f"(data.inputs): choose data with {expected}"
        )
    elif model != Task.recognition and OmegaConf.select(cfg, "schedule.mixing") is not None:
        yield f"schedule.mixing mixes clips for recognition, not for {model}: schedule.mixing=null"


def problems(conf: TrainConf) -> Iterator[str]:
    """What does not fit in the task of the configuration."""
    if conf.model.task == Task.recognition:
        yield from recognition(conf)
    elif conf.model.task == Task.detection:
        yield from detection(conf)
    else:
        yield from localization(conf)


def recognition(conf: TrainConf) -> Iterator[str]:
    """Channels, sizes, views, steps and classes of a recognizer and its data."""
    model, data = conf.model, conf.data
    assert isinstance(model, RecognizerConf)
    assert isinstance(data, ClipDataConf)
    yield from _channels(model, data)
    if data.channels not in (2 * data.stack, 3 * data.stack):
        yield (
            f"data.stack={data.stack} makes {3 * data.stack} channels of RGB frames and "
            f"{2 * data.stack} of optical flow, but data.channels={data.channels}"
        )
    yield from _views(model.clip)
    yield from _crop(model.clip.size, model.clip.short_side)
    yield from _steps(data.transforms)
    yield from _labels(conf, data)
    classes = (model.net.get("cls_head") or {}).get("num_classes")
    if isinstance(classes, int) and classes != data.num_classes:
        yield (
            f"model.net.cls_head.num_classes={classes}, but data={data.name} has "
            f"data.num_classes={data.num_classes}"
        )


def detection(conf: TrainConf) -> Iterator[str]:
    """Channels, sizes and steps of a detector and its data."""
    model, data = conf.model, conf.data
    assert isinstance(model, DetectorConf)
    assert isinstance(data, VideoDataConf)
    yield from _channels(model, data)
    yield from _crop(model.clip.size, model.clip.short_side)
    yield from _steps(data.transforms)
    yield from _one_score_file(conf)


def localization(conf: TrainConf) -> Iterator[str]:
    """What evaluation of a localizer cannot do."""
    yield from _one_score_file(conf)


# The package's losses and metrics for one label a sample, and their likes for several. Others are
# not known.
_MULTI_LABEL = {
    "vidrec.losses.classification.CrossEntropy": "vidrec.losses.classification.BinaryCrossEntropy",
    "vidrec.losses.classification.ClassBalancedFocal": (
        "vidrec.losses.classification.BinaryCrossEntropy"
    ),
    "vidrec.metrics.accuracy.Accuracy": "vidrec.metrics.multilabel.MultiLabel",
}
_SINGLE_LABEL = {
    "vidrec.losses.classification.BinaryCrossEntropy": "vidrec.losses.classification.CrossEntropy",
    "vidrec.metrics.multilabel.MultiLabel": "vidrec.metrics.accuracy.Accuracy",
}


def _labels(conf: TrainConf, data: ClipDataConf) -> Iterator[str]:
    """Lists, a loss or a metric for one label a sample where there are several, or vice versa."""
    given = f"data.multi_label={str(data.multi_label).lower()}"
    records = {split: getattr(data, split).get("records") or {} for split in ("train", "val")}
    unfit = [
        f"data.{split}.records"
        for split, node in records.items()
        if str(node.get("_target_")).startswith("vidrec.")
        if bool(node.get("multi_label")) != data.multi_label
    ]
    if unfit:
        yield (
            f"{given} does not fit {' and '.join(unfit)} of data={data.name}: set data.multi_label "
            "alone; for several labels there are data/format=videos, rawframes and json"
        )
    if data.multi_hot and not data.multi_label:
        yield "data.multi_hot=true is for several labels: set data.multi_label=true too"
    right = _MULTI_LABEL if data.multi_label else _SINGLE_LABEL
    for path, node in (("model.loss", conf.model.loss), ("data.metric", data.metric)):
        target = str(node.get("_target_"))
        # Mixing gives samples several labels, whatever their lists say.
        mixed = path == "model.loss" and conf.schedule.mixing is not None
        if target in right and (data.multi_label or not mixed):
            yield (
                f"{given}, but {path}._target_={target}: leave it to the data, or set "
                f"{path}._target_={right[target]}"
            )


def _channels(model: RecognizerConf | DetectorConf, data: VideoDataConf) -> Iterator[str]:
    if model.channels != data.channels:
        yield (
            f"model.channels={model.channels}, but data={data.name} gives frames of "
            f"{data.channels} channels (data.channels): optical flow needs 2 x clip.frames, RGB 3"
        )
    for name in ("mean", "std"):
        values = model.net.get(name)
        if isinstance(values, list) and len(values) not in (1, model.channels):
            yield f"model.net.{name} has {len(values)} values for {model.channels} channels"


def _views(clip: ClipConf) -> Iterator[str]:
    """The frames of a sample are a whole number of views."""
    for name, clips in (("clips", clip.clips), ("test_clips", clip.test_clips)):
        frames = clip.frames * clips
        if clip.frames_per_view and frames % clip.frames_per_view:
            yield (
                f"model.clip.frames_per_view={clip.frames_per_view} does not divide the {frames} "
                f"frames of {name}={clips} clips of {clip.frames}"
            )


def _crop(size: int, short_side: int) -> Iterator[str]:
    if size > short_side:
        yield f"model.clip.size={size} is larger than model.clip.short_side={short_side}"


def _steps(transforms: Mapping[str, Any]) -> Iterator[str]:
    """Pipelines that are no named steps, each with a `_target_`."""
    for split in ("train", "val", "test"):
        steps = transforms.get(split)
        if not isinstance(steps, dict):
            yield f"data.transforms.{split} is {steps!r}, not an ordered mapping of named steps"
            continue
        for name, step in steps.items():
            if step is not None and not (isinstance(step, dict) and "_target_" in step):
                yield (
                    f"data.transforms.{split}.{name} is {step!r}: a step needs a _target_, "
                    "or null to drop it"
                )


def _one_score_file(conf: TrainConf) -> Iterator[str]:
    if isinstance(conf, EvaluateConf) and len(conf.score) > 1:
        yield (
            f"score has {len(conf.score)} files: for {conf.model.task} they are scored one at a "
            "time; only recognition fuses several"
        )
