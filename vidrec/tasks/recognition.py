"""Recognition of clips for shared code; see `vidrec.tasks.task`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from vidrec import build
from vidrec.config.schema import ClipDataConf, EvaluateConf, TrainConf
from vidrec.data.clips.annotations import read_label_map
from vidrec.data.clips.dataset import VideoDataset
from vidrec.data.clips.doubts import doubts_in, shared_videos
from vidrec.data.transforms.pipeline import Pipeline
from vidrec.metrics import predictions
from vidrec.metrics.accuracy import class_accuracy, confusion_matrix
from vidrec.metrics.predictions import Predictions, fuse
from vidrec.models.recognizer import Recognizer
from vidrec.plots.clips import are_right, draw_predictions, load_samples, write_predictions
from vidrec.plots.confusion import draw_confusion
from vidrec.tasks.charts import charts
from vidrec.tasks.task import Evaluated, Figure, Table
from vidrec.tasks.wording import frames_of, in_both_splits, of_all

scores_classes = True
pictures_need_labels = True
MOST_PAIRS = 15  # of confused classes in a table


def class_names(conf: TrainConf, dataset: VideoDataset) -> list[str]:
    """Names from the file `data.class_names`, else those that the lists or folders give.

    Raises ValueError if their number is wrong, or the file has those of the data in another order.
    """
    assert isinstance(conf.data, ClipDataConf)
    known = dataset.records.class_names
    if conf.data.class_names is None:
        return list(known or map(str, range(conf.data.num_classes)))
    names = read_label_map(conf.data.class_names)
    if len(names) != conf.data.num_classes:
        raise ValueError(
            f"data.class_names={conf.data.class_names} has {len(names)} names, "
            f"but data.num_classes={conf.data.num_classes}"
        )
    if known is not None and names != list(known) and sorted(names) == sorted(known):
        label = next(i for i, name in enumerate(names) if name != known[i])
        raise ValueError(
            f"data.class_names={conf.data.class_names} has {names[label]!r} as class {label}, but "
            f"in data={conf.data.name} it is {known[label]!r}: leave data.class_names null"
        )
    return names


def summary(dataset: VideoDataset) -> str:
    kind = "several labels per video" if dataset.records.multi_label else "one label per video"
    return f"{dataset.num_classes} classes, {kind}"


def doubts(datasets: Mapping[str, VideoDataset]) -> Iterator[str]:
    """Files left out, classes without samples, videos in both splits or with different labels."""
    for split, dataset in datasets.items():
        yield from doubts_in(dataset, split)
    if {"train", "val"} <= datasets.keys():
        yield from in_both_splits(*shared_videos(datasets["train"], datasets["val"]))


def unlabelled(dataset: VideoDataset) -> str | None:
    """The place of the first sample without a label, if none has any."""
    return dataset.records.unlabelled


def protocol(dataset: VideoDataset, net: Recognizer, num_scored: int) -> str:
    """E.g. `3 clips x 1 crop, 8x8 frames, 256 px, short side 256, prob averaged, 19,790 of 19,796
    videos`.
    """
    return f"{views_of(dataset, net)}, {of_all(num_scored, len(dataset))} videos"


def views_of(dataset: VideoDataset, net: Recognizer) -> str:
    """The views of a video, e.g. `3 clips x 1 crop, 8x8 frames, 256 px, prob averaged`."""
    sampling, transforms = dataset.sampling, dataset.transforms
    clips, crops = sampling.num_views, transforms.num_crops
    return ", ".join(
        [
            f"{clips or 'all'} clip{'s' * (clips != 1)} x {crops} crop{'s' * (crops != 1)}",
            frames_of(sampling.clip_len, sampling.frame_interval),
            *what_is_seen(transforms, net),
        ]
    )


def what_is_seen(transforms: Pipeline, net: Recognizer) -> list[str]:
    """The size of the views, and how they are averaged."""
    parts = []
    if transforms.crop_size is not None:
        parts.append(f"{_pixels(transforms.crop_size)} px")
    if transforms.short_side is not None:
        parts.append(f"short side {transforms.short_side}")
    if net.average_clips not in (None, "none"):
        parts.append(f"{net.average_clips} averaged")
    return parts


def _pixels(size: int | tuple[int, int]) -> str:
    return str(size) if isinstance(size, int) else f"{size[0]}x{size[1]}"


def figures(found: Evaluated, folder: Path) -> Iterator[Figure]:
    """The confusion matrix of single labels; samples with predictions, as picture and video."""
    rows, records = found.rows, found.dataset.records
    if rows["label"].ndim == 1:
        matrix = _confusion(found)
        path = folder / "confusion.png"
        draw_confusion(matrix, found.class_names, path, found.title)
        yield Figure("confusion", path, "Confusion matrix")
    samples = load_samples(
        rows, found.dataset, found.class_names, lambda index: records[index].path
    )
    num_right, num_rows = int(are_right(rows).sum()), len(rows["index"])
    title = f"{found.title}; {num_right:,} of {num_rows:,} are right, wrong ones come first"
    path = folder / "predictions.png"
    draw_predictions(samples, path, title)
    yield Figure("predictions", path, "Predictions as still frames, wrong ones first")
    path = folder / "predictions.mp4"
    write_predictions(samples, path)
    yield Figure("prediction_clips", path, "Predictions, wrong ones first")
    yield from charts(found, folder)


def _confusion(found: Evaluated) -> np.ndarray:
    """(K, K) counts by true (rows) and predicted class, of single labels."""
    predicted = found.rows["scores"].argmax(axis=1)
    return confusion_matrix(predicted, found.rows["label"], len(found.class_names))


def tables(found: Evaluated) -> Iterator[Table]:
    """The most confused pairs and the accuracy of each class, of single labels."""
    if found.rows["label"].ndim != 1:
        return
    matrix, names = _confusion(found), found.class_names
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_PAIRS]
    pairs = [
        (names[true], names[predicted], int(wrong[true, predicted]), int(matrix[true].sum()))
        for true, predicted in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[true, predicted]
    ]
    yield Table(
        "Most confused",
        ("true class", "predicted as", "videos", "share of the class"),
        [(true, other, count, count / total) for true, other, count, total in pairs],
        "" if pairs else "No video was taken for another class.",
    )
    accuracy, totals = class_accuracy(matrix), matrix.sum(axis=1)
    weakest = np.argsort(accuracy, kind="stable")  # NaN, of classes without videos, comes last
    yield Table(
        "Accuracy of each class",
        ("class", "videos", "accuracy"),
        [(names[k], int(totals[k]), float(accuracy[k])) for k in weakest.tolist() if totals[k]],
        "The weakest first.",
    )


def pictures(found: Evaluated, folder: Path) -> None:
    """The same figures."""
    for _ in figures(found, folder):
        pass


def dump(found: Evaluated, path: str) -> None:
    """Write the scores of every video as npz, csv or JSON."""
    rows, records = found.rows, found.dataset.records
    names = [records[int(index)].path for index in rows["index"]]
    numbers = [str(number) for number in range(len(found.class_names))]
    class_names = [] if found.class_names == numbers else found.class_names
    label = None if records.unlabelled else rows["label"]
    written = Predictions(rows["scores"], label, rows["index"], names, class_names, found.protocol)
    predictions.write(written, path)


def score_files(conf: EvaluateConf) -> tuple[dict[str, float], str]:
    """Compute the metric of the data group from one dump, or from several fused.

    Dumps without labels have no scores. Raises ValueError if they are not to be written either.
    """
    fused = fuse(conf.score, conf.score_weights)
    if fused.label is None and not conf.dump:
        raise ValueError(f"nothing can be scored: {conf.score[0]} has no labels; dump=FILE fuses")
    if conf.dump:
        predictions.write(fused, conf.dump)
    if fused.label is None:
        return {}, f"{len(fused.names):,} videos, {fused.protocol}"
    scores = build.build_metric(conf.data).compute(fused.rows)
    return scores, f"{len(fused.names):,} videos, {fused.protocol}"
