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
import zipfile
import zlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import IO, Any

import numpy as np

from vidrec.files.atomic_write import atomic_write

FORMATS = ("npz", "npy", "pt", "csv")
VERSION = 1


class FeatureFolder:
    """The sequences of a folder by the names of their videos, (T, C) float32 each.

    path: the folder; names of videos in subfolders include the subfolder. A file is named like its
        video, with or without ActivityNet's `v_`. In a file with several arrays `feature` is
        read, or else the first.
    format: csv, npy, npz or pt; `auto` takes the first of npz, npy, pt and csv that is present.
    channels_first: the files contain (C, T).
    cache: folder of converted csv files; null: `.vidrec` in the folder.
    """

    def __init__(
        self,
        path: str,
        format: str = "auto",
        channels_first: bool = False,
        cache: str | None = None,
    ) -> None:
        if format not in ("auto", *FORMATS):
            raise ValueError(f"format='{format}': choose auto, {', '.join(FORMATS)}")
        self.path = Path(path)
        if not self.path.is_dir():
            raise FileNotFoundError(
                f"{path} is not a folder; set data.features to your folder of features"
            )
        found: dict[str, set[str]] = {name: set() for name in FORMATS}
        for folder, _, names in os.walk(self.path):
            inner = os.path.relpath(folder, self.path)
            for name in names:
                stem, _, extension = os.path.normpath(os.path.join(inner, name)).rpartition(".")
                if extension in found and not name.startswith("."):
                    found[extension].add(stem)
        chosen = [name for name in FORMATS if found[name]] if format == "auto" else [format]
        if not chosen or not found[chosen[0]]:
            kinds = ", ".join(FORMATS) if format == "auto" else format
            raise FileNotFoundError(f"{path} has no features ({kinds})")
        self.format = chosen[0]
        self.channels_first = channels_first
        self.cache = Path(cache) if cache else self.path / ".vidrec"
        self._stems = found[self.format]

    def __len__(self) -> int:
        return len(self._stems)

    def __contains__(self, name: str) -> bool:
        return self._stem(name) is not None

    def _stem(self, name: str) -> str | None:
        for stem in (name, f"v_{name}", name.removeprefix("v_")):
            if stem in self._stems:
                return stem
        return None

    def file(self, name: str) -> Path:
        """The file of a video. Raises FileNotFoundError if there is none."""
        stem = self._stem(name)
        if stem is None:
            raise FileNotFoundError(f"{self.path} has no features of {name} (.{self.format})")
        return self.path / f"{stem}.{self.format}"

    def read(self, name: str) -> np.ndarray:
        """(T, C) float32. Raises ValueError with the file if it contains something else."""
        file = self.file(name)
        features = self._converted(file) if self.format == "csv" else _load(file)
        return features.T if self.channels_first else features

    def shape(self, name: str) -> tuple[int, int]:
        """(T, C), from the header of the file if it has one."""
        file = self.file(name)
        if self.format == "csv" and (copy := self._copy(file)).is_file():
            shape = tuple(_read_header(copy)["shape"])
        elif self.format == "npy":
            with file.open("rb") as stream:
                shape = _npy_shape(stream)
        elif self.format == "npz":
            with zipfile.ZipFile(file) as archive:
                name = _sequence_in([entry.removesuffix(".npy") for entry in archive.namelist()])
                with archive.open(f"{name}.npy") as stream:
                    shape = _npy_shape(stream)
        else:
            shape = self.read(name).shape[:: -1 if self.channels_first else 1]
        if len(shape) != 2:
            raise ValueError(f"{file} contains an array of shape {shape}, not a sequence (T, C)")
        return shape[::-1] if self.channels_first else shape

    def prepare(self, names: Sequence[str]) -> None:
        """Convert files that are not converted yet; concurrent processes wait for each other."""
        if self.format != "csv":
            return
        files = [self.file(name) for name in names]
        if not (files := [file for file in files if not _is_copy_of(self._copy(file), file)]):
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
            files = [file for file in files if not _is_copy_of(self._copy(file), file)]
            if len(files) > 1:
                title = f"converting {len(files)} csv files into {self.cache} (once)"
                print(title, file=sys.stderr)
            num_processes = min(len(os.sched_getaffinity(0)), len(files) // 50)
            copies = [self._copy(file) for file in files]
            if num_processes < 2:
                for file, copy in zip(files, copies, strict=True):
                    _convert(file, copy)
            else:
                with ProcessPoolExecutor(num_processes, get_context("fork")) as pool:
                    list(pool.map(_convert, files, copies, chunksize=16))

    def _copy(self, file: Path) -> Path:
        return self.cache / file.relative_to(self.path).with_suffix(".f32")

    def _converted(self, file: Path) -> np.ndarray:
        copy = self._copy(file)
        if not _is_copy_of(copy, file):
            self.prepare([file.relative_to(self.path).with_suffix("").as_posix()])
        return _read_copy(copy)


def _load(file: Path) -> np.ndarray:
    try:
        if file.suffix == ".npy":
            content: object = np.load(file, allow_pickle=False)
        elif file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as archive:
                content = archive[_sequence_in(archive.files)]
        else:
            import torch

            loaded = torch.load(file, map_location="cpu", weights_only=True)
            if isinstance(loaded, dict):
                loaded = loaded[_sequence_in(list(loaded))]
            content = loaded.numpy() if isinstance(loaded, torch.Tensor) else loaded
    except (ValueError, EOFError, KeyError, IndexError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file} cannot be read: {error}") from None
    if not isinstance(content, np.ndarray) or content.ndim != 2:
        what = content.shape if isinstance(content, np.ndarray) else type(content).__name__
        raise ValueError(f"{file} contains {what}, not one sequence (T, C)")
    return np.ascontiguousarray(content, dtype=np.float32)


def _sequence_in(names: list[str]) -> str:
    """The array to read from a file with several: `feature`, or else the first."""
    return next((name for name in ("feature", "features") if name in names), names[0])


def _npy_shape(stream: IO[bytes]) -> tuple[int, ...]:
    version = np.lib.format.read_magic(stream)
    read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    return read[version[0]](stream)[0]


def _parse(file: Path) -> np.ndarray:
    """The numbers of a csv, without its header if there is one."""
    with file.open(encoding="utf-8") as stream:
        first = stream.readline().split(",")[0].strip()
    try:
        float(first)
        header = 0
    except ValueError:
        header = 1
    try:
        return np.loadtxt(file, dtype=np.float32, delimiter=",", skiprows=header, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{file} cannot be read: {error}") from None


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _convert(file: Path, copy: Path) -> None:
    """Write a line of JSON and the numbers, atomically."""
    features = np.ascontiguousarray(_parse(file), dtype="<f4")
    data = features.tobytes()
    status = file.stat()
    header = {
        "version": VERSION,
        "shape": features.shape,
        "size": status.st_size,
        "time": status.st_mtime_ns,
        "sha256": _hash(file),
        "crc32": zlib.crc32(data),
    }
    with atomic_write(copy, sync=False) as stream:  # a damaged copy is made anew
        stream.write(json.dumps(header).encode() + b"\n" + data)


def _read_header(copy: Path) -> dict[str, Any]:
    with copy.open("rb") as stream:
        return json.loads(stream.readline())


def _is_copy_of(copy: Path, file: Path) -> bool:
    """Whether the copy was made from the present content of the file."""
    try:
        header = _read_header(copy)
    except (OSError, ValueError):
        return False
    if header.get("version") != VERSION:
        return False
    status = file.stat()
    if (header["size"], header["time"]) == (status.st_size, status.st_mtime_ns):
        return True
    return header["size"] == status.st_size and header["sha256"] == _hash(file)


def _read_copy(copy: Path) -> np.ndarray:
    content = copy.read_bytes()
    line, _, data = content.partition(b"\n")
    header = json.loads(line)
    if zlib.crc32(data) != header["crc32"]:
        raise ValueError(f"{copy} is damaged; delete it to convert the csv again")
    return np.frombuffer(data, "<f4").reshape(header["shape"])
