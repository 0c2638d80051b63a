"""Damaged files of every kind: one sentence with the file's name, or what was there before.

The damage is drawn from a seeded generator, the same on every machine. A format with a checksum
must give the very same content or be refused; of text, whose digits may change into other digits,
only what is sane may come. A reader has ten seconds.
"""

import json
import math
import pickle
import signal
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vidrec.data.boxes import annotations as boxes
from vidrec.data.boxes.custom import read_boxes
from vidrec.data.boxes.feature_bank import FeatureBank, write_bank
from vidrec.data.boxes.person_proposals import read_proposals, write_proposals
from vidrec.data.clips import annotations as clips
from vidrec.data.segments.annotations import read_segments
from vidrec.data.segments.features import FeatureFolder
from vidrec.engine import checkpoint
from vidrec.files.checkpoint_files import open_checkpoint
from vidrec.files.metrics_rows import read_metrics
from vidrec.files.weight_files import open_weights
from vidrec.metrics import predictions
from vidrec.metrics.activitynet_json import read_results
from vidrec.metrics.ava_csv import read_detections

pytestmark = pytest.mark.slow
DAMAGES = 150  # of each kind of file
SECONDS = 10  # that a reader may take

CLASSES = ["jump", "run fast", "sit"]
ACTIVITYNET = {
    "version": "1.3",
    "database": {
        f"v{i}": {
            "subset": "training",
            "duration": 30.5 + i,
            "annotations": [
                {"segment": [1.5, 20.25], "label": "jump"},
                {"segment": [0, 30], "label": "sit"},
            ],
        }
        for i in range(4)
    },
}
RESULTS = {
    "results": {
        f"v{i}": [{"segment": [1.5, 20.0], "score": 0.5, "label": "jump"}] * 3 for i in range(4)
    }
}


class Hang(BaseException):
    """The reader took too long."""


@contextmanager
def limited():
    def stop(number, frame):
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# Content as plain values that can be compared.


def plain(value: object) -> object:
    if isinstance(value, torch.Tensor):
        return plain(value.detach().numpy())
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, Mapping):
        return [(plain(key), plain(item)) for key, item in value.items()]
    if isinstance(value, str | bytes | int | float | None):
        return value
    if isinstance(value, Sequence | set | frozenset):
        return [plain(item) for item in value]
    return plain(vars(value)) if hasattr(value, "__dict__") else repr(value)


def numbers(value: object) -> list[float]:
    """All numbers in a content, at any depth."""
    if isinstance(value, torch.Tensor | np.ndarray):
        array = np.asarray(value)
        return array.ravel().tolist() if array.dtype.kind in "fiub" else []
    if isinstance(value, bool | int | float):
        return [float(value)]
    if isinstance(value, Mapping):
        return [n for pair in value.items() for item in pair for n in numbers(item)]
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes):
        return [n for item in value for n in numbers(item)]
    return numbers(vars(value)) if hasattr(value, "__dict__") else []


def is_finite(value: object) -> bool:
    return all(map(math.isfinite, numbers(value)))


# Damage: bytes -> bytes.

TOKENS = [
    b"nan", b"-1", b"1e999", b"99999999999999999999", b"null", b"[]", b"{}", b'"', b",", b"\n",
    b" ", b"\x00", b"\xff\xfe", b"../", b"#", b"true", b"-0.0", b"]", b"\xf0\x9f\x8e\xac",
    b"0" * 400,
]  # fmt: skip


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    where = int(rng.integers(len(content)))
    length = int(rng.integers(1, 64))
    end = where + length
    before, hit, after = content[:where], content[where:end], content[end:]
    match rng.integers(7):
        case 0:  # a flipped bit
            return before + bytes([hit[0] ^ (1 << int(rng.integers(8)))]) + hit[1:] + after
        case 1:  # a page that was never written
            return before + bytes(len(hit)) + after
        case 2:  # cut off
            return before
        case 3:
            return before + after
        case 4:
            return before + hit + hit + after
        case 5:
            return before + TOKENS[rng.integers(len(TOKENS))] + hit + after
        case _:  # in place of a word
            return before + TOKENS[rng.integers(len(TOKENS))] + after.lstrip(b"0123456789.")


@dataclass
class Kind:
    """A kind of file.

    write: a whole one. read: what is in it, in the file of a path. has_checksum: no damage can
    remain unseen. is_sane: what may come from a text whose digits changed.
    """

    file: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]
    has_checksum: bool = False
    is_sane: Callable[[Any], bool] = is_finite


def text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


def as_json(content: object) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps(content))


def beside(path: Path, name: str, content: str) -> str:
    (path.parent / name).write_text(content)
    return str(path.parent / name)


def labels_below(count: int) -> Callable[[Any], bool]:
    """Labels that there are, or none at all, with the sentence that everything but a dump ends in:
    a list of labels that ends after its first path is one.
    """

    def sane(records: Any) -> bool:
        if records.unlabelled is not None:
            return "label" in records.unlabelled
        return all(0 <= records[row].label < count for row in range(len(records)))

    return sane


def custom(path: Path) -> object:
    return read_boxes(str(path), beside(path, "classes.txt", "\n".join(CLASSES)))


def segments(path: Path) -> object:
    return read_segments(str(path))


def are_segments(records: Any) -> bool:
    return all(
        np.isfinite(record.segments).all()
        and (record.segments[:, 0] <= record.segments[:, 1]).all()
        and len(record.segments) == len(record.labels)
        and 0 < record.duration < math.inf
        for record in records
    )


def results(path: Path) -> object:
    beside(path, "truth.json", json.dumps(ACTIVITYNET))
    return read_results(path, read_segments(str(path.parent / "truth.json")))


def feature(path: Path) -> object:
    return FeatureFolder(str(path.parent), cache=str(path.parent / "cache")).read(path.stem)


def write_feature_csv(path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(5, 3))
    np.savetxt(path, rows, delimiter=",", header="f0,f1,f2", comments="")


def sequence() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def bank(path: Path) -> object:
    made = FeatureBank(str(path))
    return [made.rows, *[made.features("v", second, np.random.default_rng(0)) for second in (1, 2)]]


def write_whole_bank(path: Path) -> None:
    write_bank(str(path), {"v": {1: np.ones((2, 4), np.float32), 2: np.ones((1, 4), np.float32)}})


def write_scores(path: Path) -> None:
    scores, label = np.eye(2, 3, dtype=np.float32), np.array([0, 1])
    made = predictions.Predictions(scores, label, index=label, names=["a", "b"])
    predictions.dump(made, path)


def write_checkpoint(path: Path) -> None:
    net = {"fc.weight": torch.arange(12.0).reshape(3, 4), "fc.bias": torch.zeros(3)}
    content = {"net": net, "epoch": 3, "step": 0, "overrides": ["model=tsn"], "best": 0.5}
    checkpoint.save_last(content, path.parent)
    (path.parent / "previous.pt").unlink(missing_ok=True)


def persons() -> dict[str, np.ndarray]:
    box = np.array([[0.1, 0.2, 0.5, 0.6, 0.95]], np.float32)
    return {"v,0902": box, "v,0903": np.repeat(box, 2, 0)}


def write_packed(path):
    """A checkpoint in a zip archive of somebody's."""
    inner = path.with_suffix(".pth")
    torch.save({"w": torch.ones(3)}, inner)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(inner, inner.name)


KINDS = [
    Kind("videos.txt", text("".join(f"a/v{i}.mp4 {i % 5}\n" for i in range(20))),
         lambda path: clips.read_video_list(str(path), num_classes=5), is_sane=labels_below(5)),
    Kind("frames.txt", text("".join(f"a/v{i} {30 + i} {i % 5}\n" for i in range(20))),
         lambda path: clips.read_frame_list(str(path), num_classes=5), is_sane=labels_below(5)),
    Kind("sthv2.json", as_json([{"id": str(i), "template": CLASSES[i % 3]} for i in range(9)]),
         lambda path: clips.read_json(
             str(path), classes=beside(path, "labels.txt", "\n".join(CLASSES)), num_classes=3),
         is_sane=labels_below(3)),
    Kind("labels.txt", text("".join(f"{i} c{i}\n" for i in range(1, 12))),
         lambda path: clips.read_label_map(str(path))),
    Kind("labels.json", as_json({name: i for i, name in enumerate(CLASSES)}),
         lambda path: clips.read_label_map(str(path))),
    Kind("ava.csv", text("".join(f"v{i},090{i},0.1,0.2,0.5,0.6,{i},{i}\n" for i in range(1, 8))),
         lambda path: boxes.read_csv(str(path))._asdict()),
    Kind("labels.pbtxt", text("".join(f'item {{ name: "c{i}" id: {i} }}\n' for i in (1, 2, 3))),
         lambda path: boxes.read_label_map(str(path))),
    Kind("excluded.csv", text("".join(f"v{i},090{i}\n" for i in range(9))),
         lambda path: boxes.read_excluded(str(path))),
    Kind("boxes.csv", text("video,timestamp,x1,y1,x2,y2,action\n" + "".join(
        f"v,{i},0.1,0.2,0.5,0.6,{CLASSES[i % 3]}\n" for i in range(9))), custom),
    Kind("boxes.json", as_json([{"video": "v", "timestamp": i, "boxes": [
        {"box": [0.1, 0.2, 0.5, 0.6], "actions": [CLASSES[i % 3]]}]} for i in range(6)]), custom),
    *[Kind(f"persons{suffix}", lambda path: write_proposals(str(path), persons()),
           lambda path: read_proposals(str(path)), has_checksum=suffix == ".npz",
           # A score that is not finite is refused with its key frame.
           is_sane=lambda found: all(boxes.shape[1:] == (5,) for boxes in found.values()))
      for suffix in (".csv", ".npz", ".pkl")],
    Kind("detections.csv", text("".join(
        f"v,090{i},0.100,0.200,0.500,0.600,{i},0.{i}5\n" for i in range(1, 8))),
         lambda path: read_detections(path)._asdict()),
    Kind("activitynet.json", as_json(ACTIVITYNET), segments, is_sane=are_segments),
    Kind("results.json", as_json(RESULTS), results),
    Kind("v.csv", write_feature_csv, feature),
    Kind("v.npy", lambda path: np.save(path, sequence()), feature, is_sane=lambda found: True),
    Kind("v.npz", lambda path: np.savez_compressed(path, feature=sequence()), feature, True),
    Kind("v.pt", lambda path: torch.save(torch.from_numpy(sequence()), path), feature, True),
    Kind("bank.npy", write_whole_bank, bank, is_sane=lambda found: True),
    Kind("bank.json", lambda path: write_whole_bank(path.with_suffix(".npy")),
         lambda path: bank(path.with_suffix(".npy"))),
    Kind("scores.npz", write_scores, predictions.load, True),
    Kind("last.pt", write_checkpoint, checkpoint.read, True),
    Kind("weights.pth", lambda path: torch.save({"state_dict": {"w": torch.ones(3)}}, path),
         open_checkpoint, True),
    Kind("weights.zip", write_packed, open_weights, is_sane=lambda found: True),
    Kind("weights.npz", lambda path: np.savez(path, w=np.ones(3)), open_weights, True),
    Kind("weights.pkl", lambda path: path.write_bytes(pickle.dumps({"w": np.ones(3)})),
         open_checkpoint, is_sane=lambda found: True),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.file)
def test_damage_is_told_with_the_name_of_the_file_or_does_not_matter(kind, tmp_path):
    path = tmp_path / kind.file
    kind.write(path)
    whole = path.read_bytes()
    before = plain(kind.read(path))
    rng = np.random.default_rng(0)
    wrong = []
    for number in range(DAMAGES):
        path.write_bytes(damage(whole, rng))
        if problem := told_wrongly(kind, path, before):
            wrong.append(f"damage {number}, {path.read_bytes()[:200]!r}: {problem}")
    assert not wrong


def told_wrongly(kind: Kind, path: Path, before: object) -> str | None:
    """What a reader does that it must not do."""
    try:
        with limited():
            found = kind.read(path)
    except (ValueError, OSError, RuntimeError) as error:
        is_sentence = kind.file in str(error) and len(str(error)) < 1500
        return None if is_sentence else f"{type(error).__name__}: {error}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    if plain(found) == before:
        return None
    return "other content" if kind.has_checksum or not kind.is_sane(found) else None


def test_damaged_logs_never_stop_anything(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = [{"epoch": n, "step": n, "train/loss": 0.5} for n in range(20)]
    whole = "".join(json.dumps(row) + "\n" for row in rows).encode()
    rng = np.random.default_rng(0)
    for _ in range(DAMAGES):
        path.write_bytes(damage(whole, rng))
        with limited():
            found = read_metrics(path)
        assert all(isinstance(row["step"], int) for _, row in found.rows)
