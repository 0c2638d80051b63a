"""Temporal localization for shared code; see `vidrec.tasks.task`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from vidrec import build
from vidrec.config.schema import EvaluateConf, TrainConf
from vidrec.data.segments.dataset import ActivityNetDataset
from vidrec.metrics.segment_map import SegmentMAP
from vidrec.metrics.segment_results import SegmentMetric
from vidrec.models.localizer import BMN, PEM, TEM
from vidrec.plots.timelines import draw_all_segments, draw_segments
from vidrec.tasks.charts import charts
from vidrec.tasks.task import Evaluated, Figure, Table
from vidrec.tasks.wording import in_both_splits, of_all

scores_classes = False  # segments of any class
pictures_need_labels = False


def class_names(conf: TrainConf, dataset: ActivityNetDataset) -> list[str]:
    """Names of the actions in the annotations; the networks find segments of any of them."""
    return list(dataset.records.classes)


def summary(dataset: ActivityNetDataset) -> str:
    return f"class-agnostic segments, annotated with {len(dataset.records.classes)} actions"


def doubts(datasets: Mapping[str, ActivityNetDataset]) -> Iterator[str]:
    """Videos that are in both splits."""
    if {"train", "val"} <= datasets.keys():
        train, val = (_names(datasets[split]) for split in ("train", "val"))
        yield from in_both_splits(sorted(train & val), len(val))


def _names(dataset: ActivityNetDataset) -> set[str]:
    return {dataset.records.name(row) for row in range(len(dataset.records))}


def unlabelled(dataset: ActivityNetDataset) -> str | None:
    """A sentence if no video has an annotated segment."""
    records = dataset.records
    if len(records.segments.values):
        return None
    return f"none of its {len(records):,} videos has an annotated segment"


def protocol(dataset: ActivityNetDataset, net: BMN | TEM | PEM, num_scored: int) -> str:
    """E.g. `at most 100 segments per sequence, 4,728 sequences`."""
    scored = of_all(num_scored, len(dataset))
    return f"at most {net.nms.top_k} segments per sequence, {scored} sequences"


def figures(found: Evaluated, folder: Path) -> Iterator[Figure]:
    """Timelines of detected segments above the ground truth, for a few sequences."""
    path = folder / "segments.png"
    draw_segments(found.rows, found.dataset.records, path, found.title)
    yield Figure("segments", path, "Detected segments above the true ones")
    yield from charts(found, folder)


def tables(found: Evaluated) -> Iterator[Table]:
    """None: the metrics have charts."""
    yield from ()


def pictures(found: Evaluated, folder: Path) -> None:
    """A timeline of every video, with names of classes if the metric knows them."""
    metric = found.metric
    detections = metric.detections(found.rows)
    if isinstance(metric, SegmentMAP):
        detections = metric.labelled(detections)
    draw_all_segments(detections, metric.records, folder)
    list(charts(found, folder))


def dump(found: Evaluated, path: str) -> None:
    """Write segments as a results JSON of ActivityNet."""
    found.metric.dump(found.rows, path)


def score_files(conf: EvaluateConf) -> tuple[dict[str, float], str]:
    """Compute the metric of the data group from any results JSON of ActivityNet."""
    build.prepare_data(conf)
    metric = cast(SegmentMetric, build.build_metric(conf.data))
    scores = metric.score_file(conf.score[0])
    return scores, f"{len(metric.records):,} annotated videos, {conf.score[0]}"
