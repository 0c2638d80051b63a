"""Folders of feature sequences, one file per video: csv, npy, npz or pt.

Parsing text takes tens of times longer than reading binary data: csv files are converted once, into
a folder beside them. A copy is used if its source still has the size and time, or else the hash,
from which it was made; its own content has a checksum.
"""

import fcntl
import hashlib
import json
import os
import sys
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from vidrec.files.arrays import npy_shape, npz_shapes, read_npy, read_npz, read_tensors
from vidrec.files.atomic_write import atomic_write

FORMATS = ("npz", "npy", "pt", "csv")
VERSION = 2


class Features(Protocol):
    """Sequences by the names of their videos."""

    @property
    def place(self) -> str:
        """Where they are, for messages."""

    def __contains__(self, name: str) -> bool: ...

    def file(self, name: str) -> Path:
        """The file of a video, for messages."""

    def read(self, name: str) -> np.ndarray:
        """(T, C) float32."""

    def shape(self, name: str) -> tuple[int, int]:
        """(T, C)."""

    def prepare(self, names: Sequence[str]) -> None:
        """What is to be done once before these videos are read."""


class GivenFeatures:
    """The sequences (T, C) float32 themselves, each under the path of its video."""

    place = "memory"

    def __init__(self, sequences: Mapping[str, np.ndarray]) -> None:
        self._sequences = sequences

    def __contains__(self, name: str) -> bool:
        return name in self._sequences

    def file(self, name: str) -> Path:
        return Path(name)

    def read(self, name: str) -> np.ndarray:
        return self._sequences[name]

    def shape(self, name: str) -> tuple[int, int]:
        length, channels = self._sequences[name].shape
        return length, channels

    def prepare(self, names: Sequence[str]) -> None:
        pass


class FeatureFolder:
    """The sequences of a folder by the names of their videos, (T, C) float32 each.

    path: the folder; names of videos in subfolders include the subfolder. A file is named like its
        video, with or without ActivityNet's `v_`; other files do not matter.
    format: csv, npy, npz or pt; `auto` takes for each video the first of npz, npy, pt and csv that
        is present.
    channels_first: the files contain (C, T).
    cache: folder of converted csv files; null: `.vidrec` in the folder.
    array: the one to read from files with several; null: `feature` or `features`, or else the only
        one with two axes.
    """

    def __init__(
        self,
        path: str,
        format: str = "auto",
        channels_first: bool = False,
        cache: str | None = None,
        array: str | None = None,
    ) -> None:
        if format not in ("auto", *FORMATS):
            raise ValueError(f"format='{format}': choose auto, {', '.join(FORMATS)}")
        self.path = Path(path)
        if not self.path.is_dir():
            raise FileNotFoundError(
                f"{path} is not a folder; set data.features to your folder of features"
            )
        self.channels_first = channels_first
        self.cache = Path(cache) if cache else self.path / ".vidrec"
        self.array = array
        formats = FORMATS if format == "auto" else (format,)
        found: dict[str, set[str]] = {}
        for folder, _, names in os.walk(self.path):
            inner = os.path.relpath(folder, self.path)
            for name in names:
                stem, _, extension = os.path.normpath(os.path.join(inner, name)).rpartition(".")
                if extension in formats and not name.startswith("."):
                    found.setdefault(stem, set()).add(extension)
        self._format_of = {
            stem: next(name for name in formats if name in present)
            for stem, present in found.items()
        }
        if not found:
            raise FileNotFoundError(f"{path} has no features ({', '.join(formats)})")

    @property
    def place(self) -> str:
        return str(self.path)

    def __len__(self) -> int:
        return len(self._format_of)

    def __contains__(self, name: str) -> bool:
        return self._stem(name) is not None

    def _stem(self, name: str) -> str | None:
        for stem in (name, f"v_{name}", name.removeprefix("v_")):
            if stem in self._format_of:
                return stem
        return None

    def file(self, name: str) -> Path:
        """The file of a video. Raises FileNotFoundError if there is none."""
        stem = self._stem(name)
        if stem is None:
            raise FileNotFoundError(f"{self.path} has no features of {name}")
        return self.path / f"{stem}.{self._format_of[stem]}"

    def read(self, name: str) -> np.ndarray:
        """(T, C) float32. Raises ValueError with the file if it contains something else."""
        file = self.file(name)
        features = self._converted(file) if file.suffix == ".csv" else self._load(file)
        return features.T if self.channels_first else features

    def shape(self, name: str) -> tuple[int, int]:
        """(T, C), from the header of the file if it has one."""
        file = self.file(name)
        shape: tuple[int, ...]
        if file.suffix == ".npy":
            shape = npy_shape(file)
        elif file.suffix == ".npz":
            shapes = npz_shapes(file)
            shape = shapes[_sequence_in(file, shapes, self.array)]
        elif file.suffix == ".csv" and (header := _header_of(self._copy(file), file)):
            shape = header.shape
        else:
            features = self._converted(file) if file.suffix == ".csv" else self._load(file)
            shape = features.shape
        first, second = _checked_axes(file, shape)
        return (second, first) if self.channels_first else (first, second)

    def prepare(self, names: Sequence[str]) -> None:
        """Convert files that are not converted yet; concurrent processes wait for each other."""
        self._convert([file for file in map(self.file, names) if file.suffix == ".csv"])

    def _convert(self, files: Sequence[Path]) -> None:
        if not (files := [file for file in files if not _header_of(self._copy(file), file)]):
            return
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            lock = (self.cache / "lock").open("w")  # closed below
        except OSError as error:
            raise OSError(
                f"converted features cannot be written to {self.cache} ({error.strerror}); "
                "set data.cache to another folder"
            ) from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            files = [file for file in files if not _header_of(self._copy(file), file)]
            if len(files) > 1:
                title = f"converting {len(files)} csv files into {self.cache} (once)"
                print(title, file=sys.stderr)
            num_processes = min(len(os.sched_getaffinity(0)), len(files) // 50)
            copies = [self._copy(file) for file in files]
            if num_processes < 2:
                for file, copy in zip(files, copies, strict=True):
                    _write_copy(file, copy)
            else:
                with ProcessPoolExecutor(num_processes, get_context("fork")) as pool:
                    list(pool.map(_write_copy, files, copies, chunksize=16))

    def _copy(self, file: Path) -> Path:
        return self.cache / file.relative_to(self.path).with_suffix(".f32")

    def _converted(self, file: Path) -> np.ndarray:
        self._convert([file])
        return _read_copy(self._copy(file))

    def _load(self, file: Path) -> np.ndarray:
        if file.suffix == ".npy":
            content = read_npy(file)
        elif file.suffix == ".npz":
            name = _sequence_in(file, npz_shapes(file), self.array)
            content = read_npz(file, [name])[name]
        else:
            tensors = read_tensors(file)
            shapes = {name: tensor.shape for name, tensor in tensors.items()}
            content = tensors[_sequence_in(file, shapes, self.array)]
        return _checked(file, content)


def _sequence_in(file: Path, shapes: Mapping[str, tuple[int, ...]], wanted: str | None) -> str:
    """The array to read from a file, by the shapes of those in it."""
    if list(shapes) == [""]:  # a tensor without a name
        return ""
    there = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    if wanted is not None:
        if wanted not in shapes:
            raise ValueError(f"{file} has no array {wanted}; it has {there}")
        return wanted
    usual = [name for name in ("feature", "features") if name in shapes]
    sequences = [name for name, shape in shapes.items() if len(shape) == 2]
    candidates = usual or sequences or list(shapes)
    if not usual and len(candidates) > 1:
        raise ValueError(
            f"{file} has several arrays, {there}: choose one with "
            f"+data.train.features.array={candidates[0]}"
        )
    return candidates[0]


def _checked_axes(file: Path, shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) != 2:
        raise ValueError(f"{file} contains an array of shape {tuple(shape)}, not a sequence (T, C)")
    return shape[0], shape[1]


def _checked(file: Path, content: np.ndarray) -> np.ndarray:
    """The content of a file as float32."""
    _checked_axes(file, content.shape)
    if content.dtype.kind not in "biuf":
        raise ValueError(f"{file} contains {content.dtype}, not numbers")
    with np.errstate(over="ignore"):
        features = np.ascontiguousarray(content, dtype=np.float32)
    if not (finite := np.isfinite(features)).all():
        row, column = np.argwhere(~finite)[0].tolist()
        raise ValueError(
            f"{file} contains numbers that are not finite, the first in row {row}, column {column}"
        )
    return features


def _parse(file: Path) -> np.ndarray:
    """The numbers of a csv, without its header if there is one."""
    try:
        with file.open(encoding="utf-8-sig") as stream:
            cells = stream.readline().split(",")
            numbers = sum(map(_is_number, cells))
            if 0 < numbers < len(cells):
                bad = next(cell.strip() for cell in cells if not _is_number(cell))
                raise ValueError(f"its first line has {numbers} numbers, but also {bad!r}")
            if numbers:
                stream.seek(0)
            rows = list(stream)
        if not any(row.strip() for row in rows):
            raise ValueError("it has no features")
        content = np.loadtxt(rows, dtype=np.float32, delimiter=",", comments=None, ndmin=2)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from None
    return _checked(file, content)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class _Header(NamedTuple):
    """The first line of a converted copy: of what it is a copy, and what follows."""

    version: int
    shape: tuple[int, int]
    size: int  # of the csv
    time: int  # of its last change
    sha256: str  # of its content
    crc32: int  # of the shape and the numbers


def _write_copy(file: Path, copy: Path) -> None:
    """Write a line of JSON and the numbers, atomically."""
    features = np.ascontiguousarray(_parse(file), dtype="<f4")
    data = features.tobytes()
    status = file.stat()
    crc32 = _crc32(features.shape, data)
    sources = status.st_size, status.st_mtime_ns, _hash(file)
    header = _Header(VERSION, _checked_axes(file, features.shape), *sources, crc32)
    with atomic_write(copy, sync=False) as stream:  # a damaged copy is made anew
        stream.write(json.dumps(header._asdict()).encode() + b"\n" + data)


def _crc32(shape: Sequence[int], data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(str(tuple(shape)).encode()))


def _parse_header(line: bytes) -> _Header | None:
    """None if the line is damaged or of another version."""
    try:
        header = _Header(**json.loads(line))
        rows, channels = header.shape
        return header._replace(shape=(rows, channels)) if header.version == VERSION else None
    except (ValueError, TypeError, RecursionError):
        return None


def _header_of(copy: Path, file: Path) -> _Header | None:
    """The header of a copy that was made from the present content of the file."""
    try:
        with copy.open("rb") as stream:
            header = _parse_header(stream.readline(10_000))
    except OSError:
        return None
    if header is None:
        return None
    status = file.stat()
    same = header.size == status.st_size and (
        header.time == status.st_mtime_ns or header.sha256 == _hash(file)
    )
    return header if same else None


def _read_copy(copy: Path) -> np.ndarray:
    line, _, data = copy.read_bytes().partition(b"\n")
    header = _parse_header(line)
    if header is None or _crc32(header.shape, data) != header.crc32:
        raise ValueError(f"{copy} is damaged; delete it to convert the csv again")
    return np.frombuffer(data, "<f4").reshape(header.shape)
