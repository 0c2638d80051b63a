"""Files of arrays: npy, npz, and tensors that torch.save wrote. Every array is opened here.

No file runs code: arrays of Python objects and pickles of anything but tensors and arrays are
refused. The memory that an array takes is checked before it is read, so that a small file cannot
unpack to more than the machine has. Whatever is wrong with a file is a ValueError with its name;
only a file that is missing or may not be opened is an OSError.
"""

import math
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from vidrec.files.limits import MAX_BYTES, TooLarge, check_unpacked

if TYPE_CHECKING:  # imported where it is used: most array files need no torch
    import torch

PathLike = str | os.PathLike[str]


def read_npy(path: PathLike, mmap: bool = False) -> np.ndarray:
    """The array of an npy file. mmap: read-only, and its pages are read when they are used."""
    with _told_with(path), open(path, "rb") as stream:
        header = _read_header(stream)
        offset = stream.tell()
        header.check_size(os.fstat(stream.fileno()).st_size - offset)
        if mmap and header.num_bytes:
            return np.memmap(path, header.dtype, "r", offset, header.shape, header.order)
        return _read_content(stream, header)


def npy_shape(path: PathLike) -> tuple[int, ...]:
    """The shape of the array, from the header alone."""
    with _told_with(path), open(path, "rb") as stream:
        return _read_header(stream).shape


def read_npz(
    path: PathLike, names: Sequence[str] | None = None, max_bytes: int = MAX_BYTES
) -> dict[str, np.ndarray]:
    """The arrays of an npz file by their names.

    names: those to read, all of which must be there; None reads everything. max_bytes: see
    `MAX_BYTES`.
    """
    with _told_with(path), zipfile.ZipFile(path) as archive:
        members = _members(archive)
        wanted = list(members) if names is None else names
        if missing := [name for name in wanted if name not in members]:
            raise ValueError(f"it has no array {missing[0]!r}, only {', '.join(members)}")
        check_unpacked(path, sum(members[name].file_size for name in wanted), max_bytes)
        return {name: _read_member(archive, members[name]) for name in wanted}


def npz_members(path: PathLike) -> list[str]:
    """The names of the arrays if the file is an npz, whatever it is called; else none."""
    if not zipfile.is_zipfile(path):
        return []
    try:
        with zipfile.ZipFile(path) as archive:
            return [name for name in archive.namelist() if name.endswith(".npy")]
    except zipfile.BadZipFile:
        return []


def npz_shapes(path: PathLike) -> dict[str, tuple[int, ...]]:
    """The shapes of the arrays by their names, from the headers alone."""
    shapes = {}
    with _told_with(path), zipfile.ZipFile(path) as archive:
        for name, member in _members(archive).items():
            with archive.open(member) as stream:
                shapes[name] = _read_header(stream).shape
    return shapes


def read_tensors(path: PathLike, max_bytes: int = MAX_BYTES) -> dict[str, np.ndarray]:
    """The tensors and arrays of a file of torch.save: those of a dict by name, a single one as ''.

    Other values of a dict are left out. Types that numpy lacks (bfloat16, float8) become float32.
    """
    import torch

    from vidrec.files.checkpoint_files import read_checkpoint

    with _told_with(path):
        content = read_checkpoint(Path(path))
        arrays = {}
        for name, value in (content if isinstance(content, dict) else {"": content}).items():
            if isinstance(value, torch.Tensor | np.ndarray):
                # A tensor may repeat a few stored values any number of times.
                check_unpacked(path, value.nbytes, max_bytes)
                arrays[str(name)] = _as_array(value)
        if not arrays:
            raise ValueError("it has no tensor")
        return arrays


def _as_array(value: "torch.Tensor | np.ndarray") -> np.ndarray:
    import torch

    if isinstance(value, np.ndarray):
        return np.array(value)  # of numpy's own class
    known = value.dtype in (torch.float16, torch.float32, torch.float64)
    return (value if known or not value.is_floating_point() else value.float()).numpy(force=True)


class _Header(NamedTuple):
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    dtype: np.dtype

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def check_size(self, present: int) -> None:
        """Raise ValueError unless the array takes the bytes that are there."""
        if self.num_bytes != present:
            raise ValueError(
                f"an array {self.shape} of {self.dtype} takes {self.num_bytes} bytes, "
                f"but {present} are there"
            )


def _read_header(stream: IO[bytes]) -> _Header:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, is_fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"version {version} of the npy format is only for records")
    if dtype.kind not in "biufcSU" or (dtype.itemsize == 0 and math.prod(shape) > 1):
        raise ValueError(f"an array of {dtype}, neither numbers nor text")
    if any(length < 0 for length in shape):
        raise ValueError(f"an array of shape {shape}")
    return _Header(shape, "F" if is_fortran else "C", dtype)


def _read_content(stream: IO[bytes], header: _Header) -> np.ndarray:
    """The array after its header; its size has been checked."""
    content = bytearray(stream.read(header.num_bytes))
    header.check_size(len(content))
    return np.ndarray(header.shape, header.dtype, content, order=header.order)


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The arrays in an npz by name; other files in it are left out."""
    members = {
        member.filename.removesuffix(".npy"): member
        for member in archive.infolist()
        if member.filename.endswith(".npy")
    }
    if not members:
        raise ValueError("it has no array")
    for name, member in members.items():
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"array {name!r} is compressed in another way than numpy's")
    return members


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    # zipfile reads no more than the size in the directory, and checks the CRC-32 at its end.
    with archive.open(member) as stream:
        header = _read_header(stream)
        header.check_size(member.file_size - stream.tell())
        return _read_content(stream, header)


@contextmanager
def _told_with(path: PathLike) -> Iterator[None]:
    """Turn whatever a damaged file raises into a ValueError with its name."""
    try:
        yield
    except Exception as error:  # damaged files can fail anywhere in the reader
        if isinstance(error, OSError) and error.filename is not None:
            raise
        kind = "" if type(error) in (ValueError, TooLarge) else f"{type(error).__name__}: "
        reason = (str(error).splitlines() or [""])[0][:200]
        formats = {".npy": "an npy file", ".npz": "an npz file"}
        what = formats.get(Path(path).suffix, "a file of torch.save")
        raise ValueError(f"{path} cannot be read as {what}: {kind}{reason}") from None
