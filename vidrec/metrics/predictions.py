"""Predictions as files: written by one run, then scored or fused with others."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import vidrec
from vidrec.files.arrays import read_npz
from vidrec.files.atomic_write import atomic_write
from vidrec.files.text_files import check_file


@dataclass
class Predictions:
    """The scores of n videos for K classes, with labels and names."""

    scores: np.ndarray  # (n, K) float32
    label: np.ndarray | None  # (n,) int64, or (n, K) float32 for multi-label; None: unknown
    index: np.ndarray  # (n,) int64: row of the dataset
    names: list[str]  # (n,) the videos' paths as in the list file
    class_names: list[str] = field(default_factory=list)  # (K,), or empty if they are unknown
    protocol: str = ""  # how the videos were sampled and scored
    version: str = vidrec.__version__

    def __post_init__(self) -> None:
        num_labels = len(self.scores if self.label is None else self.label)
        lengths = (len(self.scores), num_labels, len(self.index), len(self.names))
        if self.scores.ndim != 2 or len(set(lengths)) != 1:
            raise ValueError(
                f"scores {self.scores.shape}, {lengths[1]} labels, {lengths[2]} indices and "
                f"{lengths[3]} names do not belong together"
            )
        shape = self.scores.shape
        if self.label is not None and self.label.shape not in (shape[:1], shape):
            raise ValueError(f"labels {self.label.shape} do not fit scores {shape}")
        if self.class_names and len(self.class_names) != self.scores.shape[1]:
            raise ValueError(
                f"{len(self.class_names)} class names do not fit {self.scores.shape[1]} classes"
            )

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """The rows that a metric is computed from. Raises ValueError without labels."""
        if self.label is None:
            raise ValueError("the predictions have no labels to be scored with")
        return {"index": self.index, "scores": self.scores, "label": self.label}


class ScoredByRows(Protocol):
    """All that scoring needs of a metric."""

    def compute(self, rows: dict[str, np.ndarray]) -> dict[str, float]: ...


def dump(predictions: Predictions, path: str | Path) -> None:
    """Write an .npz atomically; numpy opens it without pickle."""
    arrays: dict[str, Any] = {
        "scores": predictions.scores.astype(np.float32),
        "index": predictions.index,
        "names": np.array(predictions.names, dtype=np.str_),
        "class_names": np.array(predictions.class_names, dtype=np.str_),
        "protocol": np.array(predictions.protocol),
        "version": np.array(predictions.version),
    }
    if predictions.label is not None:
        arrays["label"] = predictions.label
    with atomic_write(path) as stream:
        np.savez_compressed(stream, **arrays)


def load(path: str | Path) -> Predictions:
    """Read what `dump` wrote. Raises ValueError with the file's name if it is something else."""
    check_file(str(path))
    found = read_npz(path)
    if missing := {"scores", "index", "names"} - found.keys():
        raise ValueError(
            f"{path} is not a file of predictions: it has no {', '.join(sorted(missing))}"
        )
    try:
        _check_content(found)
        return Predictions(
            scores=found["scores"],
            label=found.get("label"),
            index=found["index"],
            names=found["names"].tolist(),
            class_names=found["class_names"].tolist() if "class_names" in found else [],
            protocol=str(found.get("protocol", "")),
            version=str(found.get("version", "")),
        )
    except ValueError as error:
        raise ValueError(f"{path} is not a file of predictions: {error}") from None


# Array -> kinds of numpy's types, number of axes.
_ARRAYS = {
    "scores": ("fiu", {2}), "label": ("fiub", {1, 2}), "index": ("iu", {1}), "names": ("U", {1}),
    "class_names": ("U", {1}),
}  # fmt: skip


def _check_content(found: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError unless the arrays hold scores, classes and names."""
    for name, (kinds, axes) in _ARRAYS.items():
        if name in found and not (found[name].dtype.kind in kinds and found[name].ndim in axes):
            raise ValueError(f"{name} is an array {found[name].shape} of {found[name].dtype}")
    scores, label = found["scores"], found.get("label")
    if bad := int((~np.isfinite(scores)).any(axis=1).sum()):
        raise ValueError(f"{bad} videos have scores that are not finite")
    if label is None:
        return
    one_each = label.ndim == 1
    if one_each and label.dtype.kind not in "iu":
        raise ValueError(f"label is an array {label.shape} of {label.dtype}")
    wrong = label[(label < 0) | (label >= scores.shape[1]) if one_each else ~np.isin(label, [0, 1])]
    if wrong.size:
        expected = f"a class from 0 to {scores.shape[1] - 1}" if one_each else "0 or 1"
        raise ValueError(f"label {wrong[0]} is not {expected}")


def fuse(files: Sequence[str | Path], weights: Sequence[float] = ()) -> Predictions:
    """The weighted sum of the scores in several files (late fusion), videos matched by name.

    weights: one for each file, not normalised; none means 1 each. Order and indices are those of
    the first file. Raises ValueError if the files differ in videos, labels or classes.
    """
    weights = list(weights) or [1.0] * len(files)
    if not files or len(weights) != len(files):
        raise ValueError(
            f"{len(files)} files of predictions and {len(weights)} weights do not match"
        )
    if not np.isfinite(weights).all():
        raise ValueError(f"score_weights={weights} are not finite")
    first, *others = [load(path) for path in files]
    total = weights[0] * first.scores.astype(np.float64)
    for path, weight, other in zip(files[1:], weights[1:], others, strict=True):
        where = f"{files[0]} and {path} cannot be fused"
        if other.scores.shape[1] != first.scores.shape[1]:
            raise ValueError(
                f"{where}: {first.scores.shape[1]} and {other.scores.shape[1]} classes"
            )
        if first.class_names and other.class_names and first.class_names != other.class_names:
            raise ValueError(f"{where}: their classes differ in names or order")
        row, wanted = _row_of(other), _row_of(first)
        if differing := sorted(row.keys() ^ wanted.keys()):
            raise ValueError(
                f"{where}: {len(differing)} videos are in one of them only, "
                f"such as {differing[0][0]}"
            )
        order = np.empty(len(first.names), dtype=np.int64)
        order[list(wanted.values())] = [row[video] for video in wanted]
        if not _same_labels(other, first, order):
            raise ValueError(f"{where}: the same videos have different labels")
        total += weight * other.scores[order].astype(np.float64)
    return Predictions(
        scores=total,
        label=first.label,
        index=first.index,
        names=first.names,
        class_names=first.class_names or next((o.class_names for o in others if o.class_names), []),
        protocol=_fused_protocol([first, *others], weights),
    )


def _same_labels(other: Predictions, first: Predictions, order: np.ndarray) -> bool:
    """Whether the rows `order` of `other` have the labels of `first`; none is a label too."""
    if other.label is None or first.label is None:
        return other.label is first.label
    return np.array_equal(other.label[order], first.label)


def _row_of(predictions: Predictions) -> dict[tuple[str, int], int]:
    """Rows by name and, as a list may have several samples of a video, by number among those."""
    count: dict[str, int] = {}
    rows = {}
    for i in np.argsort(predictions.index, kind="stable").tolist():
        name = predictions.names[i]
        count[name] = count.get(name, 0) + 1
        rows[name, count[name]] = i
    return rows


def _fused_protocol(parts: Sequence[Predictions], weights: Sequence[float]) -> str:
    if len(parts) == 1:
        return parts[0].protocol
    return " + ".join(f"{w:g} x ({p.protocol})" for w, p in zip(weights, parts, strict=True))


def score(
    files: Sequence[str | Path], weights: Sequence[float], metric: ScoredByRows
) -> dict[str, float]:
    """The scores of one file of predictions, or of several fused."""
    return metric.compute(fuse(files, weights).rows)


def write(predictions: Predictions, path: str | Path) -> None:
    """Write the format that the suffix of `path` names: .npz, .csv or .json."""
    WRITERS[Path(path).suffix.lower()](predictions, path)


def write_csv(predictions: Predictions, path: str | Path) -> None:
    """Write a table atomically: each video with the names of its true classes and of the best one,
    and the scores of all classes, a column each.
    """
    names = _class_names(predictions)
    with atomic_write(path) as raw:
        # Paths may hold bytes that are not UTF-8.
        stream = io.TextIOWrapper(raw, "utf-8", "surrogateescape", newline="", write_through=True)
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["video", "label", "predicted", *names])
        for video, true, scores in _videos(predictions):
            cells = [f"{score:.9g}" for score in scores]
            writer.writerow([video, "; ".join(true), names[np.argmax(scores)], *cells])
        stream.detach()


def write_json(predictions: Predictions, path: str | Path) -> None:
    """Write JSON atomically: `classes` by name, and `videos`, a line each, with `video`, `label`
    (names of the true classes) and `scores` (in the order of `classes`).
    """
    facts = {"version": predictions.version, "protocol": predictions.protocol}
    head = json.dumps({**facts, "classes": _class_names(predictions)})
    with atomic_write(path, "w") as stream:
        stream.write(f'{head[:-1]}, "videos": [')
        for number, (video, true, scores) in enumerate(_videos(predictions)):
            values = [float(f"{score:.9g}") for score in scores]  # restores a float32 exactly
            entry = json.dumps({"video": video, "label": true, "scores": values})
            stream.write(f"{',' * (number > 0)}\n{entry}")
        stream.write("\n]}\n")


WRITERS = {".npz": dump, ".csv": write_csv, ".json": write_json}


def _class_names(predictions: Predictions) -> list[str]:
    return predictions.class_names or [str(i) for i in range(predictions.scores.shape[1])]


def _videos(predictions: Predictions) -> Iterator[tuple[str, list[str], np.ndarray]]:
    """(path, names of the true classes, scores (K,)) of each video; no names without labels."""
    names = _class_names(predictions)
    labels = [()] * len(predictions.names) if predictions.label is None else predictions.label
    rows = zip(predictions.names, labels, predictions.scores, strict=True)
    for video, label, scores in rows:
        true = np.flatnonzero(label) if np.ndim(label) else [label]
        yield video, [names[i] for i in true], scores
