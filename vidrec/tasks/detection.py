"""Spatio-temporal action detection for shared code; see `vidrec.tasks.task`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import numpy as np

from vidrec import build
from vidrec.config.schema import EvaluateConf, TrainConf
from vidrec.data.boxes.dataset import BoxDataset
from vidrec.metrics.ava_map import AVAMeanAP
from vidrec.models.detector import FastRCNN
from vidrec.plots.boxes import draw_boxes
from vidrec.tasks.charts import charts
from vidrec.tasks.task import Evaluated, Figure, Table
from vidrec.tasks.wording import frames_of, in_both_splits, of_all

scores_classes = True
pictures_need_labels = False
_CAPTIONS = {  # of what `draw_boxes` writes
    "best": "Key frames with the highest average precision",
    "worst": "Key frames with the lowest average precision",
    "detections": "Key frames with the highest scores",
    "boxes": "Clips around key frames: detected boxes solid, missed ones dashed",
}


def class_names(conf: TrainConf, dataset: BoxDataset) -> list[str]:
    """A name per label column; the background and ids without a name are numbers."""
    records = dataset.records
    names = [str(number) for number in range(records.num_classes)]
    for action, column in records.columns.items():
        names[column] = records.classes.get(action, str(action))
    return names


def summary(dataset: BoxDataset) -> str:
    records = dataset.records
    idle = int((np.diff(records.labels.ends) == 0).sum())
    empty = int((np.diff(records.boxes.ends) == 0).sum())
    text = f"{len(records.columns)} actions in training, {len(records.classes)} of them evaluated"
    if idle or empty:
        text += f"; {idle:,} persons without an action, {empty:,} key frames without a person"
    return text


def doubts(datasets: Mapping[str, BoxDataset]) -> Iterator[str]:
    """Videos that are in both splits."""
    if {"train", "val"} <= datasets.keys():
        train, val = (set(datasets[split].records.videos) for split in ("train", "val"))
        yield from in_both_splits(sorted(train & val), len(val))


def unlabelled(dataset: BoxDataset) -> str | None:
    """A sentence if no key frame has an annotated box."""
    records = dataset.records
    if len(records.boxes.values):
        return None
    return f"none of its {len(records):,} key frames has an annotated box"


def protocol(dataset: BoxDataset, net: FastRCNN, num_scored: int) -> str:
    """E.g. `1 view, 8x8 frames, short side 256, person score >= 0.9, 57,062 key frames`."""
    sampling, transforms = dataset.sampling, dataset.transforms
    views = transforms.num_crops
    parts = [
        f"{views} view{'s' * (views != 1)}",
        frames_of(sampling.clip_len, sampling.frame_interval),
    ]
    if transforms.short_side is not None:
        parts.append(f"short side {transforms.short_side}")
    parts.append(f"person score >= {dataset.records.person_score_threshold:g}")
    line = ", ".join([*parts, f"{of_all(num_scored, len(dataset))} key frames"])
    num_whole = dataset.records.num_whole_frames
    return line + (f" ({num_whole:,} without a proposal: their whole frame)" if num_whole else "")


def figures(found: Evaluated, folder: Path) -> Iterator[Figure]:
    """The key frames with the highest and the lowest average precision, or scores without it."""
    for path in draw_boxes(found.metric, found.rows, found.dataset, folder, 6, found.title):
        yield Figure(path.stem, path, _CAPTIONS[path.stem])
    yield from charts(found, folder)


def tables(found: Evaluated) -> Iterator[Table]:
    """None: the metric has a chart of every action."""
    yield from ()


def pictures(found: Evaluated, folder: Path) -> None:
    """The same with more key frames."""
    draw_boxes(found.metric, found.rows, found.dataset, folder, 12, found.title)
    list(charts(found, folder))


def dump(found: Evaluated, path: str) -> None:
    """Write detections as a csv file of the AVA challenge."""
    found.metric.dump(found.rows, path)


def score_files(conf: EvaluateConf) -> tuple[dict[str, float], str]:
    """Compute the metric of the data group from any csv file of the AVA challenge."""
    build.prepare_data(conf)
    metric = cast(AVAMeanAP, build.build_metric(conf.data))
    scores = metric.score_file(conf.score[0])
    return scores, f"{len(metric.records):,} annotated key frames, {conf.score[0]}"
