"""Frames, scales and crops of a PySlowFast configuration."""

import re
from collections.abc import Mapping
from typing import Any

from vidrec.migrate.composed import value_at
from vidrec.migrate.pipelines import choose_transforms, translate_pipeline
from vidrec.migrate.pyslowfast_settings import Settings
from vidrec.migrate.translation import Translation

Steps = list[dict[str, Any]]


def translate_clips(settings: Settings, result: Translation) -> None:
    """Note what clips are made of, as the steps of an MMAction2 pipeline."""
    detects = settings["DETECTION.ENABLE"]
    sampling: dict[str, Any] = {
        "type": "SampleAVAFrames" if detects else "SampleFrames",
        "clip_len": settings["DATA.NUM_FRAMES"],
        "frame_interval": settings["DATA.SAMPLING_RATE"],
    } | ({} if detects else {"num_clips": 1})
    seen = {**sampling, "test_mode": True}
    tested = seen | ({} if detects else {"num_clips": settings["TEST.NUM_ENSEMBLE_VIEWS"]})
    if detects:
        whole: Steps = [{"type": "Resize", "scale": [-1, settings["DATA.TEST_CROP_SIZE"]]}]
        validation, test = whole, whole
    else:
        validation, test = _validation(settings), _test(settings, result)
    translate_pipeline(
        {
            "train": ([sampling, *_training(settings, result)], []),
            "val": ([seen, *validation], []),
            "test": ([tested, *test], []),
        },
        result,
        keys="DATA, {} clips",
    )
    if copies := settings["AUG.NUM_SAMPLE"] if settings["AUG.ENABLE"] else 0:
        result.want("data.train.copies", copies, "AUG.NUM_SAMPLE")


def _training(settings: Settings, result: Translation) -> Steps:
    size = settings["DATA.TRAIN_CROP_SIZE"]
    flip: Steps = [{"type": "Flip", "flip_ratio": 0.5}] if settings["DATA.RANDOM_FLIP"] else []
    relative = settings["DATA.TRAIN_JITTER_SCALES_RELATIVE"]
    aspect = settings["DATA.TRAIN_JITTER_ASPECT_RELATIVE"]
    own = _own(result, "train")
    if not relative:
        if "RandomRescale" not in own[0]["_target_"]:
            choose_transforms("data/transforms=rescaled_crop", result)
        scales = {"type": "RandomRescale", "scale_range": settings["DATA.TRAIN_JITTER_SCALES"]}
        return [scales, {"type": "RandomCrop", "size": size}, *flip, *_augmented(settings, result)]
    crop: dict[str, Any] = {"type": "RandomResizedCrop", "area_range": relative}
    crop |= {"aspect_ratio_range": aspect} if aspect else {}
    before: Steps = []
    if own[0]["_target_"].endswith("Resize"):  # the area is relative, so it changes no crop
        before = [{"type": "Resize", "scale": own[0]["scale"]}]
    resize = {"type": "Resize", "scale": [size, size], "keep_ratio": False}
    return [*before, crop, resize, *flip, *_augmented(settings, result)]


def _augmented(settings: Settings, result: Translation) -> Steps:
    """RandAugment and random erasing."""
    if not settings["AUG.ENABLE"]:
        return []
    kind, made = settings["AUG.AA_TYPE"], []
    if found := re.fullmatch(r"rand-m(\d+)(?:-n(\d+))?-mstd0\.5-inc1", str(kind)):
        magnitude, layers = int(found[1]), int(found[2] or 2)
        made = [{"type": "RandAugment", "magnitude": magnitude, "num_layers": layers}]
    elif kind:
        result.lack("AUG.AA_TYPE", kind, "there is RandAugment with mstd0.5-inc1")
    if settings["AUG.RE_PROB"]:
        mode = {"pixel": "rand"}.get(settings["AUG.RE_MODE"], settings["AUG.RE_MODE"])
        made += [{"type": "RandomErasing", "erase_prob": settings["AUG.RE_PROB"], "mode": mode}]
    return made


def _validation(settings: Settings) -> Steps:
    """The centre crop, at the sizes of training."""
    scale = settings["DATA.TRAIN_JITTER_SCALES"][0]
    crop = {"type": "CenterCrop", "crop_size": settings["DATA.TRAIN_CROP_SIZE"]}
    return [{"type": "Resize", "scale": [-1, scale]}, crop]


def _test(settings: Settings, result: Translation) -> Steps:
    size, crops = settings["DATA.TEST_CROP_SIZE"], settings["TEST.NUM_SPATIAL_CROPS"]
    if crops not in (1, 3):
        result.lack("TEST.NUM_SPATIAL_CROPS", crops, "there are 1 and 3 (data/views)")
    name, kind = ("center_crop", "CenterCrop") if crops == 1 else ("three_crop", "ThreeCrop")
    if not _own(result, "test")[-1]["_target_"].endswith(kind):
        result.choose(f"data/views={name}")
    scale = settings["DATA.TRAIN_JITTER_SCALES"][0] if crops == 1 else size
    return [{"type": "Resize", "scale": [-1, scale]}, {"type": kind, "crop_size": size}]


def _own(result: Translation, split: str) -> list[Mapping[str, Any]]:
    return [step for step in value_at(result.cfg, f"data.{split}.steps").values() if step]
