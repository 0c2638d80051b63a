"""What can be trained on, but is hardly what was meant; in sentences, said before a run."""

import os
from collections.abc import Iterator

import numpy as np

from vidrec.data.clips.dataset import VideoDataset
from vidrec.data.clips.records import Records
from vidrec.data.ragged import Ragged

_EXAMPLES = 3


def doubts_in(dataset: VideoDataset, split: str) -> Iterator[str]:
    """What readers left out, classes without samples, and videos with different labels."""
    records = dataset.records
    yield from records.remarks or ()
    if records.unlabelled is not None:
        return
    labels = records.label.values if isinstance(records.label, Ragged) else records.label
    counts = np.bincount(labels, minlength=dataset.num_classes)
    empty = np.flatnonzero(counts == 0).tolist()
    if empty:
        names = _some([_class_name(records, label) for label in empty[: _EXAMPLES + 1]])
        hint = "; labels count from 0" if empty == [0] and records.class_names is None else ""
        yield (
            f"{len(empty)} of {dataset.num_classes} classes have no {split} samples: {names}{hint}"
        )
    yield from _contradictions(dataset, split)


def shared_videos(train: VideoDataset, val: VideoDataset) -> tuple[list[str], int]:
    """The videos of `val` that are trained on too, and how many `val` has."""
    keys, first = np.unique(_keys(val), return_index=True)
    rows = np.sort(first[np.isin(keys, _keys(train))])
    return [val.records[row].path for row in rows], len(keys)


def _contradictions(dataset: VideoDataset, split: str) -> Iterator[str]:
    """Videos that are listed more than once, with different labels."""
    records, keys = dataset.records, _keys(dataset)
    label = records.label
    if isinstance(label, Ragged):
        label = np.array([hash(tuple(sorted(row.tolist()))) for row in label], dtype=np.int64)
    order = np.argsort(keys, kind="stable")
    pairs = np.stack([order[:-1], order[1:]], axis=1)  # neighbours
    one, other = pairs.T
    same_video, same_label = keys[one] == keys[other], label[one] == label[other]
    pairs = pairs[same_video & ~same_label]
    if len(pairs):
        examples = [
            f"{records[i].path} as {_label_names(records, i)} and {_label_names(records, j)}"
            for i, j in pairs[: _EXAMPLES + 1]
        ]
        videos = len(np.unique(keys[pairs[:, 0]]))
        yield f"{videos:,} {split} videos are listed with different labels: {_some(examples)}"


def _keys(dataset: VideoDataset) -> np.ndarray:
    """(n,) int64: a hash of the place of each sample, its file and its first frame.

    Takes a second or two for a million samples, and eight bytes each.
    """
    records, prefix = dataset.records, os.path.abspath(os.fsencode(dataset.prefix)) + b"/"
    text, ends = records.paths.values.tobytes(), records.paths.ends.tolist()
    offsets = [0] * len(records) if records.offset is None else records.offset.tolist()

    def place(path: bytes) -> bytes:
        if b"./" in path or b"//" in path or path.startswith(b"/"):
            return os.path.normpath(os.path.join(prefix, path))
        return prefix + path

    return np.fromiter(
        (
            hash((place(text[start:end]), offset))
            for start, end, offset in zip(ends[:-1], ends[1:], offsets, strict=True)
        ),
        np.int64,
        len(records),
    )


def _label_names(records: Records, row: int) -> str:
    label = records[row].label
    labels = [label] if isinstance(label, int) else label
    return "+".join(_class_name(records, one) for one in labels) or "none"


def _class_name(records: Records, label: int) -> str:
    return str(label) if records.class_names is None else records.class_names[label]


def _some(texts: list[str]) -> str:
    more = ", ..." if len(texts) > _EXAMPLES else ""
    return ", ".join(texts[:_EXAMPLES]) + more
