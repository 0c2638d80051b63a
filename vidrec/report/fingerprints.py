"""Hashes that say whether two results come from the same data and the same weights."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidrec.data.ragged import Ragged
from vidrec.weights.digest import digest_of_tensors
from vidrec.weights.sources import read_weights

_CHUNK = 1 << 20  # bytes


def digest_of_file(path: Path) -> str:
    """SHA-256 in hex of a file's content."""
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while part := stream.read(_CHUNK):
            found.update(part)
    return found.hexdigest()


def digest_of_checkpoint(path: Path) -> str:
    """The digest of the weights that evaluation takes from a checkpoint."""
    return digest_of_tensors(read_weights(path))


def lists_of(data: Mapping[str, Any], splits: Sequence[str]) -> dict[str, dict[str, str]]:
    """Key of the configuration -> `file` and `sha256`, of the files that splits and metric read.

    data: the resolved node `data`. Media are not among them: folders hold those.
    """
    known: dict[str, str] = {}
    found = {}
    for name in (*splits, "metric", "class_names"):
        for key, value in _texts(data.get(name), f"data.{name}"):
            path = Path(value)
            if not _is_file(path):
                continue
            if value not in known:
                known[value] = digest_of_file(path)
            found[key] = {"file": value, "sha256": known[value]}
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a text that is no path
        return False


def _texts(node: object, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield key, node
    elif isinstance(node, Mapping):
        for name, child in node.items():
            yield from _texts(child, f"{key}.{name}")
    elif isinstance(node, list | tuple):
        for number, child in enumerate(node):
            yield from _texts(child, f"{key}.{number}")


def digest_of_records(records: object) -> str:
    """SHA-256 in hex of the samples of a dataset: names, labels, boxes, in their order.

    Two lists of one content are equal here, wherever their files are. Empty for records of one's
    own that cannot be hashed.
    """
    found = hashlib.sha256()
    try:
        # Remarks are sentences for the log, with paths in them.
        _add(found, {name: own for name, own in vars(records).items() if name != "remarks"})
    except TypeError:
        return ""
    return found.hexdigest()


def _add(found: "hashlib._Hash", value: Any) -> None:
    """Add a value with its type. Raises TypeError for one of an unknown type."""
    if isinstance(value, Ragged):
        _add(found, [value.values, value.ends])
    elif isinstance(value, np.ndarray | torch.Tensor):
        array = np.ascontiguousarray(value)
        if array.dtype.hasobject:
            raise TypeError(f"an array of {array.dtype} has no bytes of its own")
        found.update(f"{array.dtype} {array.shape}\n".encode())
        found.update(array.tobytes())
    elif isinstance(value, Mapping):
        for name in sorted(value, key=str):
            found.update(f"{name}=".encode())
            _add(found, value[name])
    elif isinstance(value, frozenset):
        _add(found, sorted(value))
    elif isinstance(value, list | tuple):
        found.update(f"{len(value)}:".encode())
        for item in value:
            _add(found, item)
    elif value is None or isinstance(value, str | int | float):
        found.update(f"{type(value).__name__} {value}\n".encode("utf-8", "surrogateescape"))
    else:
        raise TypeError(f"{type(value).__name__} has no digest")
