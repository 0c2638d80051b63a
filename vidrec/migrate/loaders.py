"""Datasets and loaders of an MMAction2 configuration."""

import posixpath
from collections.abc import Mapping
from typing import Any

from vidrec.migrate.canonical import FILES
from vidrec.migrate.composed import ABSENT, value_at
from vidrec.migrate.differences import Difference, differences
from vidrec.migrate.overriding import same
from vidrec.migrate.pipelines import translate_pipeline
from vidrec.migrate.translation import Translation

SPLITS = {"train": "batch_size", "val": "val_batch_size", "test": "test_batch_size"}
# A key of a dataset -> where it is under data.SPLIT.
KEYS = {
    "ann_file": "records.path",
    "data_prefix": "prefix",
    "delimiter": "records.delimiter",
    "with_offset": "records.with_offset",
    "filename_tmpl": "reader.template",
    "modality": "reader.modality",
    "start_index": "reader.start_index",
    "num_repeats": "copies",
    "sample_once": "same_frames",
    "label_file": "records.label_file",
    "exclude_file": "records.exclude_file",
    "proposal_file": "records.proposal_file",
    "person_det_score_thr": "records.person_det_score_thr",
    "num_max_proposals": "records.num_max_proposals",
    "custom_classes": "records.custom_classes",
    "timestamp_start": "records.timestamp_start",
    "timestamp_end": "records.timestamp_end",
    "fps": "sampling.fps",
}
OF_ALL_SPLITS = {"multi_class": "data.multi_label", "num_classes": "data.num_classes"}
FORMATS = {"VideoDataset": "videos", "RawframeDataset": "rawframes"}
NOTES = {
    "num_workers": "runtime.num_workers; by default each rank's share of the cores",
    "persistent_workers": "runtime.persistent_workers",
    "pin_memory": "on for GPUs",
    "prefetch_factor": "runtime.prefetch",
    "sampler": "training is shuffled, evaluation is not, and no sample is repeated to fill a batch",
    "drop_last": "a last group of batches that is too small for a step is left out in training",
    "test_mode": "data.val and data.test are in test mode",
    "collate_fn": "datasets have their own",
    "use_frames": "data/format",
}
SAMPLERS = ("DefaultSampler",)


def translate_loaders(
    config: Mapping[str, Any], published: Mapping[str, Any], result: Translation
) -> None:
    """Note what a configuration changes in the published data."""
    pipelines = {}
    for split in SPLITS:
        key = f"{split}_dataloader"
        given, theirs = config.get(key) or {}, published.get(key) or {}
        if not given and theirs:
            why = "as in the experiment" + (", of the videos of val" if split == "test" else "")
            result.note(key, ABSENT, why)
            given = _of_val(config, theirs) if split == "test" else {}
        if not given:
            continue
        _translate_loader(split, given, theirs, result)
        dataset = given.get("dataset") or {}
        pipelines[split] = _pipeline(dataset), _pipeline(theirs.get("dataset") or {})
    translate_pipeline(pipelines, result)
    _translate_evaluators(config, published, result)


def _of_val(config: Mapping[str, Any], test: Mapping[str, Any]) -> dict[str, Any]:
    """The published loader of the test, with the files of the given validation."""
    dataset = (config.get("val_dataloader") or {}).get("dataset") or {}
    files = {key: value for key, value in dataset.items() if key in FILES}
    return {**test, "dataset": {**test["dataset"], **files}} if files else {}


def _translate_loader(
    split: str, given: Mapping[str, Any], theirs: Mapping[str, Any], result: Translation
) -> None:
    key = f"{split}_dataloader"
    own, other = (
        {k: v for k, v in loader.items() if k not in ("dataset", "pipeline")}
        for loader in (given, theirs)
    )
    for difference in differences(own, other, (key,)):
        name, value = difference.path[1], difference.given
        if name == "batch_size":
            result.want(f"schedule.{SPLITS[split]}", value, difference.key)
        elif name == "num_workers" and split == "train" and value != ABSENT:
            result.want("runtime.num_workers", value, difference.key)
        elif name == "sampler" and _another_sampler(value):
            result.lack(difference.key, value, "there is one sampler, the published default")
        elif name in NOTES:
            if value != ABSENT:
                result.note(difference.key, value, NOTES[name])
        else:
            result.lack(difference.key, value, "vidrec's loaders have no such option")
    datasets = (given.get("dataset") or {}, theirs.get("dataset") or {})
    _translate_dataset(split, *datasets, result)


def _another_sampler(value: Any) -> bool:
    return (isinstance(value, dict) and value.get("type") not in SAMPLERS) or (
        isinstance(value, str) and value not in (*SAMPLERS, ABSENT)
    )


def _translate_dataset(
    split: str, given: dict[str, Any], theirs: dict[str, Any], result: Translation
) -> None:
    key = f"{split}_dataloader.dataset"
    if given.get("type") == "RepeatDataset":
        result.lack(f"{key}.times", given.get("times"), "multiply schedule.epochs by it")
        given = given.get("dataset") or {}
    kind, published_kind = given.get("type"), theirs.get("type")
    if kind == "ConcatDataset":
        _translate_list(split, given, theirs, result)
        return
    if "type" in theirs and kind != published_kind and not _kind(split, kind, given, result):
        return
    chosen = any("data/format=" in choice for choice in result.choices)
    own, other = (_plain(dataset) for dataset in (given, theirs))
    if chosen or published_kind == "ConcatDataset":  # the paths of another format are others
        other = {name: value for name, value in other.items() if name in NOTES}
    for difference in differences(own, other, tuple(key.split("."))):
        _translate_key(split, difference, result)


def _kind(split: str, kind: Any, given: Mapping[str, Any], result: Translation) -> bool:
    """Whether a class of datasets has a counterpart; notes the choice."""
    if kind in ("RepeatAugDataset", "VideoDataset", "AVADataset", "AVAKineticsDataset"):
        reader = str(value_at(result.cfg, f"data.{split}.reader._target_"))
        if kind in ("VideoDataset", "RepeatAugDataset") and "VideoReader" not in reader:
            result.choose("data/format=videos")
        return True
    if kind == "RawframeDataset":
        result.choose(f"data/format={'flow' if given.get('modality') == 'Flow' else 'rawframes'}")
        return True
    result.lack(
        f"{split}_dataloader.dataset.type", kind, "there is no such dataset here (docs/data.md)"
    )
    return False


def _plain(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """A dataset without its class and pipeline, and one folder for `data_prefix`."""
    made = {k: v for k, v in dataset.items() if k not in ("type", "pipeline", "_delete_")}
    prefix = made.get("data_prefix")
    if isinstance(prefix, dict) and len(prefix) == 1:
        made["data_prefix"] = next(iter(prefix.values()))
    return made


def _translate_key(split: str, difference: Difference, result: Translation) -> None:
    name, value, key = difference.path[2], difference.given, difference.key
    if name in OF_ALL_SPLITS:
        if value != ABSENT:
            result.want(OF_ALL_SPLITS[name], value, key, spreads=True)
    elif name == "ann_file" and "detection" in str(value_at(result.cfg, "data.task")):
        result.argument(f"data.{split}.records.ann_file", value, key)
    elif name == "data_prefix" and "localization" in str(value_at(result.cfg, "data.task")):
        if value_at(result.cfg, "data.features") == ABSENT:
            result.note(key, value, "proposals come with the features they need")
        else:
            result.argument(f"data.{split}.features.path", value, key)
    elif name in KEYS:
        if name == "sample_once" and value == ABSENT:
            value = True
        result.argument(f"data.{split}.{KEYS[name]}", value, key)
    elif name in NOTES:
        if value != ABSENT:
            result.note(key, value, NOTES[name])
    else:
        result.lack(key, value, "vidrec's dataset has no such option")


def _translate_list(
    split: str, given: Mapping[str, Any], theirs: Mapping[str, Any], result: Translation
) -> None:
    """`ConcatDataset`: one dataset here reads several lists, each with a folder."""

    def lists(dataset: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
        parts = [_plain(part) for part in dataset.get("datasets") or []]
        return [p.get("ann_file") for p in parts], [p.get("data_prefix") for p in parts]

    key = f"{split}_dataloader.dataset.datasets"
    if same(lists(given), lists(theirs)):
        return
    files, folders = lists(given)
    prefix = value_at(result.cfg, f"data.{split}.prefix")
    if any(not isinstance(path, str) for path in [*files, *folders]):
        result.lack(key, given.get("datasets"), "each part needs an ann_file and a data_prefix")
        return
    relative = [
        folder if posixpath.isabs(folder) else posixpath.relpath(folder, str(prefix))
        for folder in folders
    ]
    result.want(f"data.{split}.records.path", files, f"{key}.ann_file")
    result.want(f"data.{split}.records.folders", relative, f"{key}.data_prefix", given=folders)


def _pipeline(dataset: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The steps of a dataset, or those of the first that it is made of."""
    inner = dataset.get("datasets") or [dataset.get("dataset")]
    first = next((part for part in inner if isinstance(part, dict)), None)
    steps = dataset.get("pipeline") or (first or {}).get("pipeline")
    return steps if isinstance(steps, list) else None


def _translate_evaluators(
    config: Mapping[str, Any], published: Mapping[str, Any], result: Translation
) -> None:
    """Metrics: their files are those of the dataset."""
    for key in ("val_evaluator", "test_evaluator"):
        given, theirs = _first(config.get(key)), _first(published.get(key))
        if not given or (key == "test_evaluator" and given == _first(config.get("val_evaluator"))):
            continue
        loader = config.get(key.replace("evaluator", "dataloader")) or {}
        dataset = loader.get("dataset") or {}
        for difference in differences(given, theirs, (key,)):
            name, value = difference.path[-1], difference.given
            if name == "action_thr":
                value = 0.002 if value == ABSENT else value
                result.want("data.metric.score_threshold", value, difference.key)
            elif name in ("ann_file", "exclude_file", "label_file") and same(
                value, dataset.get(name, ABSENT)
            ):
                continue
            elif name in ("dump_config", "collect_device", "prefix", "num_classes"):
                result.note(difference.key, value, "vidrec evaluate dump=FILE writes predictions")
            else:
                result.lack(difference.key, value, "data.metric chooses what is computed")


def _first(evaluator: Any) -> dict[str, Any]:
    if isinstance(evaluator, list):
        evaluator = evaluator[0] if evaluator else {}
    return evaluator if isinstance(evaluator, dict) else {}
