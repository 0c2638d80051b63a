"""Person boxes of a detector by key frame, in a pickle, csv, JSON or npz file.

The extension gives the format:

- pickle: `{"VIDEO,0902": (P, 5)}`, as the published proposal files of AVA; no code in it is run.
- csv: lines `video,timestamp,x1,y1,x2,y2,score`; the score is optional.
- JSON: `{"VIDEO,0902": [[x1, y1, x2, y2, score], ...]}`.
- npz: `keys` (n,) text, `boxes` (P, 5), `ends` (n + 1,): key i has the boxes ends[i] to
  ends[i + 1].

Boxes are normalised to [0, 1].
"""

import csv
import json
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from vidrec.data.boxes.keys import key, parse_key, read_moment
from vidrec.data.ragged import Ragged
from vidrec.files import safe_pickle
from vidrec.files.arrays import read_npz
from vidrec.files.atomic_write import atomic_write
from vidrec.files.checkpoint_files import load_pickle
from vidrec.files.text_files import check_file, csv_rows, read_json_file, shown

SUFFIXES = (".pkl", ".pickle", ".csv", ".json", ".npz")
MAX_BOXES = 20_000_000  # of a file; AVA has 1.3 per key frame


def read_proposals(path: str) -> dict[str, np.ndarray]:
    """`VIDEO,0902` -> (P, 5) float32: x1, y1, x2, y2 and a score, 1 if the file has none.

    Raises ValueError with the key or the line if the file is not a proposal file.
    """
    suffix = format_of(path)
    check_file(path)
    if suffix == ".csv":
        return _read_csv(path)
    if suffix == ".npz":
        return _read_npz(path)
    if suffix == ".json":
        content = read_json_file(path)
    else:
        with open(path, "rb") as file:
            try:
                content = load_pickle(file)
            except safe_pickle.UnsafePickle as error:
                raise ValueError(
                    f"{path} contains {error}, which is not data, and is refused; a proposal file "
                    "is a dictionary of arrays"
                ) from None
            except Exception as error:  # damaged files can fail anywhere in the reader
                first_line = (str(error).splitlines() or [""])[0][:200]
                raise ValueError(f"{path} is not a pickle of boxes: {first_line}") from None
    if not isinstance(content, Mapping):
        raise ValueError(
            f"{path} contains a {type(content).__name__}, not a dictionary {{'VIDEO,0902': boxes}}"
        )
    return _by_key(path, content.items())


def write_proposals(path: str, proposals: Mapping[str, np.ndarray]) -> None:
    """Write `VIDEO,0902` -> (P, 5) atomically, in the format of the file's extension."""
    suffix = format_of(path)
    arrays = _by_key(path, proposals.items())
    with atomic_write(path, "w" if suffix in (".csv", ".json") else "wb") as stream:
        if suffix == ".npz":
            packed = Ragged.pack(list(arrays.values()), np.zeros((0, 5), np.float32))
            keys = np.array(list(arrays), dtype=str)
            np.savez_compressed(stream, keys=keys, boxes=packed.values, ends=packed.ends)
        elif suffix == ".csv":
            lines = csv.writer(stream, lineterminator="\n")
            for name, boxes in arrays.items():
                video, _, timestamp = name.rpartition(",")
                for box in boxes.tolist():
                    lines.writerow([video, timestamp, *(f"{v:.6g}" for v in box)])
        elif suffix == ".json":
            rounded = {
                name: [[round(value, 6) for value in box] for box in boxes.tolist()]
                for name, boxes in arrays.items()
            }
            json.dump(rounded, stream)
        else:
            pickle.dump(arrays, stream, protocol=4)


def format_of(path: str) -> str:
    """The extension of a proposal file. Raises ValueError if it is not a known format."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"the proposal file {path} does not end with one of {', '.join(SUFFIXES)}")
    return suffix


def _by_key(path: str, items: Iterable[tuple[object, object]]) -> dict[str, np.ndarray]:
    """The boxes by key, written as `key` does."""
    found: dict[str, np.ndarray] = {}
    count = 0
    for name, boxes in items:
        moment = parse_key(str(name))
        written = str(name) if moment is None else key(*moment)
        if written in found:
            raise ValueError(f"{path} has the key {shown(str(name))} twice")
        found[written] = _boxes(path, str(name), boxes)
        count += len(found[written])
        if count > MAX_BOXES:  # the keys of a small file may share one array
            raise ValueError(f"{path} has more than {MAX_BOXES:,} boxes")
    return found


def _boxes(path: str, name: str, boxes: object) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):  # what becomes infinite is refused with its key frame
            array: np.ndarray = np.asarray(boxes, dtype=np.float32)
    except (TypeError, ValueError, OverflowError):
        array = np.zeros(1, np.float32)
    if array.size == 0:
        return np.zeros((0, 5), np.float32)
    if array.ndim != 2 or array.shape[1] not in (4, 5):
        raise ValueError(
            f"{path}, key {shown(name)}: boxes of shape {array.shape} are not (P, 5), x1, y1, x2, "
            "y2 and a score"
        )
    return array if array.shape[1] == 5 else np.pad(array, ((0, 0), (0, 1)), constant_values=1)


def _read_csv(path: str) -> dict[str, np.ndarray]:
    found: dict[str, list[list[float]]] = {}
    for line, row in csv_rows(path):
        try:
            video, timestamp = read_moment(*row[:2])
            box = [float(value) for value in row[2:]]
            if len(box) not in (4, 5):
                raise ValueError
        except (TypeError, ValueError):
            raise ValueError(
                f"{path}, line {line}: {shown(','.join(row))} is not "
                "video,timestamp,x1,y1,x2,y2,score with numbers after the video"
            ) from None
        found.setdefault(key(video, timestamp), []).append([*box, 1.0][:5])
    return _by_key(path, found.items())


def _read_npz(path: str) -> dict[str, np.ndarray]:
    arrays = read_npz(path, ("keys", "boxes", "ends"))
    keys, boxes, ends = arrays["keys"].reshape(-1).tolist(), arrays["boxes"], arrays["ends"]
    if boxes.ndim != 2 or ends.ndim != 1 or ends.dtype.kind not in "iu":
        raise ValueError(f"{path}: boxes {boxes.shape} and ends {ends.shape} are not (P, 5), (n,)")
    ends = ends.astype(np.int64)
    fits = len(ends) == len(keys) + 1 and (ends[0], ends[-1]) == (0, len(boxes))
    if not fits or (np.diff(ends) < 0).any():
        raise ValueError(f"{path}: {len(keys)} keys, {len(boxes)} boxes and ends do not match")
    return _by_key(path, zip(keys, Ragged(boxes, ends), strict=True))
