"""Predictions as files: written by one run, then scored or fused with others."""

import csv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

import vidrec
from vidrec.files.atomic_write import atomic_write


@dataclass
class Predictions:
    """The scores of n videos for K classes, with labels and names."""

    scores: np.ndarray  # (n, K) float32
    label: np.ndarray  # (n,) int64, or (n, K) float32 for multi-label
    index: np.ndarray  # (n,) int64: row of the dataset
    names: list[str]  # (n,) the videos' paths as in the list file
    class_names: list[str] = field(default_factory=list)  # (K,), or empty if they are unknown
    protocol: str = ""  # how the videos were sampled and scored
    version: str = vidrec.__version__

    def __post_init__(self) -> None:
        lengths = (len(self.scores), len(self.label), len(self.index), len(self.names))
        if self.scores.ndim != 2 or len(set(lengths)) != 1:
            raise ValueError(
                f"scores {self.scores.shape}, {lengths[1]} labels, {lengths[2]} indices and "
                f"{lengths[3]} names do not belong together"
            )
        if self.label.shape not in ((len(self.scores),), self.scores.shape):
            raise ValueError(f"labels {self.label.shape} do not fit scores {self.scores.shape}")
        if self.class_names and len(self.class_names) != self.scores.shape[1]:
            raise ValueError(
                f"{len(self.class_names)} class names do not fit {self.scores.shape[1]} classes"
            )

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """The rows that a metric is computed from."""
        return {"index": self.index, "scores": self.scores, "label": self.label}


class ScoredByRows(Protocol):
    """All that scoring needs of a metric."""

    def compute(self, rows: dict[str, np.ndarray]) -> dict[str, float]: ...


def dump(predictions: Predictions, path: str | Path) -> None:
    """Write an .npz atomically; numpy opens it without pickle."""
    with atomic_write(path) as stream:
        np.savez_compressed(
            stream,
            scores=predictions.scores.astype(np.float32),
            label=predictions.label,
            index=predictions.index,
            names=np.array(predictions.names, dtype=np.str_),
            class_names=np.array(predictions.class_names, dtype=np.str_),
            protocol=np.array(predictions.protocol),
            version=np.array(predictions.version),
        )


def load(path: str | Path) -> Predictions:
    """Read what `dump` wrote. Raises ValueError if the file is something else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if missing := {"scores", "label", "index", "names"} - set(file.files):
                raise ValueError(f"it has no {', '.join(sorted(missing))}")
            return Predictions(
                scores=file["scores"],
                label=file["label"],
                index=file["index"],
                names=file["names"].tolist(),
                class_names=file["class_names"].tolist() if "class_names" in file else [],
                protocol=str(file["protocol"]) if "protocol" in file else "",
                version=str(file["version"]) if "version" in file else "",
            )
    except (ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a file of predictions: {error}") from None


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
        if not np.array_equal(other.label[order], first.label):
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


def write_csv(predictions: Predictions, path: str | Path, topk: int = 5) -> None:
    """Write a readable table: each video with its true classes and its `topk` best ones."""
    names = predictions.class_names or [str(i) for i in range(predictions.scores.shape[1])]
    topk = min(topk, len(names))
    with Path(path).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        best = [column for k in range(1, topk + 1) for column in (f"class{k}", f"score{k}")]
        writer.writerow(["video", "label", *best])
        for name, label, scores in zip(
            predictions.names, predictions.label, predictions.scores, strict=True
        ):
            true = np.flatnonzero(label) if label.ndim else [label]
            order = np.argsort(-scores, kind="stable")[:topk]
            cells = [cell for k in order for cell in (names[k], f"{scores[k]:.6g}")]
            writer.writerow([name, "; ".join(names[k] for k in true), *cells])
