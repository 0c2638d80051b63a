"""The tensors of a TorchScript program, read as data: OpenAI publishes CLIP in this form.

The file is a zip archive: `data.pkl` is the tree of modules with their attributes, `data/N` the
values of the tensors; the rest is the program, which is neither compiled nor run. Names in the
pickle are admitted as in `vidrec.files.safe_pickle`; classes of the program become inert modules.
"""

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidrec.files import safe_pickle

_DTYPES = {
    f"{name}Storage": dtype
    for name, dtype in {
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
    }.items()
}


class _Module(dict[str, object]):
    """An object of the program: its attributes by name."""

    def __setstate__(self, attributes: object) -> None:
        if isinstance(attributes, Mapping):
            self.update(attributes)


class _Unpickler(safe_pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{root}data.pkl")))
        self.archive, self.root = archive, root
        self.storages: dict[str, torch.storage.TypedStorage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "__torch__":
            return _Module
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if module == "torch.jit._pickle":
            return lambda data, *_: data  # lists of numbers, tagged with their type
        return super().find_class(module, name)

    def persistent_load(self, reference: Any) -> Any:
        _, dtype, key, *_ = reference
        if key not in self.storages:
            data = bytearray(self.archive.read(f"{self.root}data/{key}"))
            untyped = torch.frombuffer(data, dtype=torch.uint8).untyped_storage()
            storage = torch.storage.TypedStorage(wrap_storage=untyped, dtype=dtype, _internal=True)
            self.storages[key] = storage
        return self.storages[key]


def is_program(path: Path) -> bool:
    """Whether a zip archive contains code as well as data."""
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def load(path: Path) -> dict[str, Tensor]:
    """Parameters and buffers by name.

    Raises safe_pickle.UnsafePickle for names that are not data.
    """
    with zipfile.ZipFile(path) as archive:
        (pickled,) = [
            n for n in archive.namelist() if n.count("/") == 1 and n.endswith("/data.pkl")
        ]
        tree = _Unpickler(archive, pickled.removesuffix("data.pkl")).load()
    return dict(_named(tree, ""))


def _named(module: Mapping[str, object], prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in module.items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, _Module):
            yield from _named(value, f"{prefix}{name}.")
