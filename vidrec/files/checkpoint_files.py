"""Opening checkpoints of any origin as plain data: zip archives and legacy files of torch.save,
TorchScript programs, safetensors and pickles, also within a zip archive.

Nothing in a file is executed. Damage is found where the format allows it: zip archives have the
CRC-32 of every member, which torch does not check, and published names end in the SHA-256 of the
file. What a file says of its sizes is compared with what it has before memory is taken.
"""

import hashlib
import io
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor

from vidrec.errors import did_you_mean, what_there_is
from vidrec.files import safe_pickle
from vidrec.files.limits import TooLarge, check_unpacked
from vidrec.files.safe_pickle import Admitted

_CHUNK = 1 << 20  # bytes
_MAX_PICKLE = 1 << 24  # bytes that any pickle in an archive may unpack to
_MAX_REPEATED = 1 << 28  # bytes that a tensor may take beyond those that are stored for it
_ENDINGS = (".pt", ".pth", ".pyth", ".ckpt", ".bin", ".pkl", ".safetensors", ".npz", ".tar")
_LEGACY = torch.serialization.MAGIC_NUMBER.to_bytes(10, "little")


def open_checkpoint(path: str | os.PathLike[str]) -> object:
    """The content of a checkpoint as plain data; a TorchScript program gives its tensors by name.

    Raises ValueError with the path for any other file, and for a damaged one.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(_not_there(path))
    with path.open("rb") as file:
        head = file.read(512)
    if reason := not_a_checkpoint(head):
        raise ValueError(f"{path} {reason}")
    check_digest(path)
    try:
        return read_checkpoint(path)
    except safe_pickle.UnsafePickle as error:
        raise ValueError(
            f"{path} was not opened: it refers to {error}, a Python object that is not data and "
            "could run code; ask its author for the state_dict alone"
        ) from None
    except (TooLarge, _NotOneCheckpoint) as error:
        raise ValueError(f"{path} was not opened: {error}") from None
    except Exception as error:  # damaged files can fail anywhere in the reader
        first_line = (str(error).splitlines() or [""])[0][:200]
        raise ValueError(
            f"{path} is truncated or corrupt ({type(error).__name__}: {first_line}); "
            "delete it and download it again"
        ) from None


def _not_there(path: Path) -> str:
    if path.is_dir():
        inside = what_there_is(checkpoints_in(path))
        return f"{path} is a folder, expected a checkpoint; of those {inside}"
    if not path.parent.is_dir():
        return f"there is no file {path}, nor the folder {path.parent}"
    beside = checkpoints_in(path.parent)
    near = (
        f"; {did_you_mean(path.name, beside)}" if beside else ", nor any other checkpoint beside it"
    )
    return f"there is no file {path}{near}"


def checkpoints_in(folder: Path) -> list[str]:
    """The names of the files in a folder that are called as checkpoints are."""
    return sorted(path.name for path in folder.iterdir() if path.name.endswith(_ENDINGS))


def read_checkpoint(path: Path, outer: Path | None = None) -> object:
    """`open_checkpoint` with whatever errors a damaged file ends in.

    outer: the archive that it was unpacked from, whose size is that which counts.
    """
    with path.open("rb") as file:
        head = file.read(512)
        file.seek(0)
        if _is_safetensors(head):
            from safetensors.torch import load_file

            return load_file(path)
        if head.startswith(b"PK"):
            return _read_archive(path, outer)
        if _LEGACY in head[:32]:
            return _read_legacy(file, os.path.getsize(path))
        return load_pickle(file)


def load_pickle(file: IO[bytes]) -> Any:
    """One pickled object, tensors included; raises what `safe_pickle.load` does."""
    return _Unpickler(file).load()


def not_a_checkpoint(head: bytes) -> str | None:
    """Why a file that begins with `head` is not a checkpoint; None if it may be one."""
    if head.startswith((b"PK", b"\x80")) or _is_safetensors(head):
        return None
    if not head:
        return "is empty; delete it and download it again"
    if head.lstrip().startswith(b"<"):
        return "is a web page, not a checkpoint: the server returned an error or a login page"
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file itself; run `git lfs pull`"
    return f"is not a checkpoint: it begins with {head[:16]!r}"


def _is_safetensors(head: bytes) -> bool:
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32


def digest_in(name: str) -> str | None:
    """The first digits of the SHA-256 that the name of a published file ends in.

    >>> digest_in("resnet50-0676ba61.pth")
    '0676ba61'
    >>> digest_in("model-20240131.pth")  # a date
    """
    found = re.search(r"-([0-9a-f]{8,64})\.[a-z.]+$", name)
    if found is None or re.fullmatch(r"(19|20)\d\d(0[1-9]|1[0-2])[0-3]\d", found[1]):
        return None
    return found[1]


def check_digest(path: Path) -> None:
    if (wanted := digest_in(path.name)) is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(wanted):
        raise ValueError(
            f"{path} is damaged: its SHA-256 begins with {found[:8]}, not with the {wanted} in its "
            "name; delete it and download it again, or rename it if it was changed on purpose"
        )


class _Unpickler(safe_pickle.Unpickler):
    """Reads tensors too. storage: values by (key, dtype, number of values) as a tensor (n,)."""

    def __init__(
        self, file: IO[bytes], storage: Callable[[str, torch.dtype, int], Tensor] | None = None
    ) -> None:
        super().__init__(file)
        self.storage = storage

    def find_class(self, module: str, name: str) -> object:
        if module.partition(".")[0] == "__torch__":
            return _Module
        return _TENSORS.get(f"{module}.{name}") or super().find_class(module, name)

    def persistent_load(self, reference: object) -> object:
        """Storages; and classes of whole networks in legacy files, with their source code."""
        if self.storage is None or not isinstance(reference, tuple):
            raise ValueError("a reference to values that the file does not have")
        kind, what, *rest = reference
        if kind == "module":
            return what
        key, _, count, *view = rest
        is_valid = isinstance(what, torch.dtype) and isinstance(key, str) and isinstance(count, int)
        if kind != "storage" or not is_valid or count < 0:
            raise ValueError("a reference to something else than a storage")
        values = self.storage(key, what, count)
        if view and view[0] is not None:  # a part of it, in files of the first versions of torch
            _, start, length = view[0]
            return values[start : start + length]
        return values


class _Module(dict[str, object]):
    """An object of a TorchScript program: its attributes by name."""

    def __setstate__(self, attributes: object) -> None:
        if isinstance(attributes, Mapping):
            self.update(attributes)


def _tensor(values: object, offset: int, size: tuple, stride: tuple, *_: object) -> Tensor:
    # The other arguments (requires_grad, hooks, metadata) do not concern weights.
    if not isinstance(values, Tensor):
        raise TypeError("a tensor without a storage")
    # Raises RuntimeError if the storage is too short. `data` is the same tensor, not a view.
    tensor = values.as_strided(size, stride, values.storage_offset() + offset).data
    if tensor.nbytes > values.nbytes + _MAX_REPEATED:
        raise TooLarge(f"a tensor {tuple(size)} repeats the {len(values)} values that are stored")
    return tensor


def _typed_tensor(  # its arguments are those of torch._utils._rebuild_tensor_v3
    values: Tensor, offset: int, size: tuple, stride: tuple, *more: Any
) -> Tensor:
    _, _, dtype, *_ = more
    return _tensor(values.view(dtype), offset, size, stride)


def _storage_in(data: bytes | str) -> object:
    """The storage of a tensor that was pickled without torch.save: a whole legacy file."""
    data = data.encode("latin1") if isinstance(data, str) else data
    return _read_legacy(io.BytesIO(data), len(data), _StorageUnpickler)


class _StorageUnpickler(_Unpickler):
    """Admits no file in the file, which could be used twice, and the one in it twice, and so on."""

    def find_class(self, module: str, name: str) -> object:
        if name == "_load_from_bytes":
            raise safe_pickle.UnsafePickle(f"{module}.{name}")
        return super().find_class(module, name)


_DTYPES = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
}

_TENSORS: dict[str, object] = {
    "torch._utils._rebuild_tensor": Admitted(_tensor),
    "torch._utils._rebuild_tensor_v2": Admitted(_tensor),
    "torch._utils._rebuild_tensor_v3": Admitted(_typed_tensor),
    "torch._utils._rebuild_parameter": Admitted(lambda data, *_: data),
    "torch._utils._rebuild_parameter_with_state": Admitted(lambda data, *_: data),
    "torch._tensor._rebuild_from_type_v2": Admitted(lambda build, _kind, args, _: build(*args)),
    "torch.tensor._rebuild_from_type_v2": Admitted(lambda build, _kind, args, _: build(*args)),
    "torch.Size": Admitted(torch.Size),
    "torch.device": Admitted(torch.device),
    "torch.storage.UntypedStorage": torch.uint8,
    "torch.storage._load_from_bytes": Admitted(_storage_in),
    # Lists of numbers in TorchScript, tagged with their type.
    **{
        f"torch.jit._pickle.{name}": Admitted(lambda data, *_: data)
        for name in (
            "build_intlist",
            "build_doublelist",
            "build_boollist",
            "build_tensorlist",
            "build_complexlist",
            "restore_type_tag",
        )
    },
    **{
        f"{module}.{name}Storage": dtype
        for name, dtype in _DTYPES.items()
        for module in ("torch", "torch.cuda")
    },
    **{f"torch.{name}": v for name, v in vars(torch).items() if isinstance(v, torch.dtype)},
}


class _NotOneCheckpoint(ValueError):
    """An archive that is none of torch.save, and holds no file or several that may be meant."""


def _read_archive(path: Path, outer: Path | None = None) -> object:
    """A zip archive of torch.save or TorchScript, whose program is neither compiled nor run.

    Or one that somebody packed around a checkpoint. outer: see `read_checkpoint`.
    """
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: member for member in archive.infolist()}
        named = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
        if not named and outer is None:
            return _read_packed(path, archive)
        check_unpacked(outer or path, sum(member.file_size for member in members.values()))
        if not any(member.CRC for member in members.values()):
            # torch.serialization.set_crc32_options(False): there is nothing to compare with.
            for member in members.values():
                del member.CRC
        if len(named) != 1:
            raise ValueError(f"it has {len(named)} files data.pkl, not one")
        # Elements of a pickle take some hundred times its bytes.
        check_unpacked(outer or path, members[named[0]].file_size, max_bytes=_MAX_PICKLE)
        root = named[0].removesuffix("data.pkl")
        order = members.get(f"{root}byteorder")
        if order is not None and archive.read(order) != b"little":
            raise ValueError("it was written on a big-endian machine")
        storages: dict[str, Tensor] = {}

        def storage(key: str, dtype: torch.dtype, count: int) -> Tensor:
            if key not in storages:
                member = members[f"{root}data/{key}"]
                if member.file_size != count * dtype.itemsize:
                    raise ValueError(f"{member.filename} does not have {count} values of {dtype}")
                storages[key] = torch.empty(count, dtype=dtype)
                with archive.open(member) as stream:
                    _fill(storages[key], stream)  # checks the CRC-32 with the last bytes
            return storages[key]

        content = _Unpickler(io.BytesIO(archive.read(named[0])), storage).load()
    return dict(_named(content, "")) if isinstance(content, _Module) else content


def _read_packed(path: Path, archive: zipfile.ZipFile) -> object:
    """The one checkpoint that a zip archive was packed around."""
    inside = [
        member
        for member in archive.infolist()
        if member.filename.endswith(_ENDINGS)
        and not Path(member.filename).name.startswith(".")  # those that macOS adds
    ]
    if not inside:
        raise _NotOneCheckpoint("it is a zip archive without a checkpoint or torch.save's data.pkl")
    if len(inside) > 1:
        names = what_there_is([member.filename for member in inside])
        raise _NotOneCheckpoint(
            f"it is a zip archive with {len(inside)} checkpoints, {names}: unpack it and pass one"
        )
    # Weights hardly compress: what does so by far is no checkpoint, but might fill the memory.
    check_unpacked(path, inside[0].file_size, max_bytes=_MAX_PICKLE)
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder) / "checkpoint"
        with archive.open(inside[0]) as stream, unpacked.open("wb") as file:
            shutil.copyfileobj(stream, file, _CHUNK)  # checks the CRC-32 at its end
        return read_checkpoint(unpacked, outer=path)


def _named(module: _Module, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in module.items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, _Module):
            yield from _named(value, f"{prefix}{name}.")


def _read_legacy(file: IO[bytes], size: int, unpickler: type[_Unpickler] = _Unpickler) -> object:
    """A file of torch.save before version 1.6: four pickles, then the values of each storage."""
    storages: dict[str, Tensor] = {}
    num_bytes = 0

    def storage(key: str, dtype: torch.dtype, count: int) -> Tensor:
        nonlocal num_bytes
        if key not in storages:
            num_bytes += count * dtype.itemsize
            if num_bytes > size:
                raise EOFError(f"{num_bytes} bytes of tensors in a file of {size}")
            storages[key] = torch.empty(count, dtype=dtype)
        return storages[key]

    magic, version, machine = (safe_pickle.load(file) for _ in range(3))
    if magic != torch.serialization.MAGIC_NUMBER or version != 1001:
        raise ValueError("it is of no known version")
    if not machine["little_endian"]:
        raise ValueError("it was written on a big-endian machine")
    content = unpickler(file, storage).load()
    keys = cast(list[str], safe_pickle.load(file))
    if sorted(keys) != sorted(storages):
        raise ValueError("its tensors are not those that it lists")
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        if count != len(storages[key]):
            raise ValueError(f"storage {key} has {count} values, not {len(storages[key])}")
        _fill(storages[key], file)
    return content


def _fill(values: Tensor, stream: IO[bytes]) -> None:
    """Read the values of a storage; raises EOFError if there are fewer."""
    target = memoryview(values.view(torch.uint8).numpy().data)
    done = 0
    while done < len(target):
        chunk = stream.read(min(_CHUNK, len(target) - done))
        if not chunk:
            raise EOFError(f"{done} of {len(target)} bytes of a tensor")
        target[done : done + len(chunk)] = chunk
        done += len(chunk)
