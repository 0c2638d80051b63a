"""Opening what weights are published in: checkpoints, npz files, folders of Hugging Face.

The bounds and the safety of `vidrec.files.checkpoint_files` and `vidrec.files.arrays` hold for all.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from vidrec.errors import what_there_is
from vidrec.files.arrays import npz_members, read_npz
from vidrec.files.checkpoint_files import check_digest, checkpoints_in, open_checkpoint
from vidrec.files.text_files import read_json_file

_WHOLE = ("model.safetensors", "pytorch_model.bin")
_INDEX = ".index.json"  # after one of them: the list of the files that it was split into


def open_weights(path: str | os.PathLike[str]) -> object:
    """The content of a file or a folder of weights as plain data.

    A folder is one of Hugging Face: `model.safetensors`, `pytorch_model.bin`, or either of them
    split into several files. An index of such files may also be named itself. Raises ValueError
    with the path for everything else.
    """
    path = Path(path)
    if path.is_dir():
        return _open_folder(path)
    if path.name.endswith(_INDEX) and path.is_file():
        return _open_split(path)
    if path.is_file() and npz_members(path):
        check_digest(path)
        return read_npz(path)
    return open_checkpoint(path)


def _open_folder(folder: Path) -> object:
    for name in _WHOLE:
        if (folder / name).is_file():
            return open_checkpoint(folder / name)
        if (folder / f"{name}{_INDEX}").is_file():
            return _open_split(folder / f"{name}{_INDEX}")
    raise ValueError(
        f"{folder} is a folder without {' or '.join(_WHOLE)}: pass a file; of checkpoints "
        f"{what_there_is(checkpoints_in(folder))}"
    )


def _open_split(index: Path) -> dict[str, Tensor]:
    """The tensors that an index lists, {"weight_map": {name of a tensor: name of a file}}."""
    content = read_json_file(str(index))
    found = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(found, dict) or not found or not all(map(_is_file_name, found.values())):
        raise ValueError(f"{index} has no weight_map from tensors to files beside it")
    files = sorted(set(found.values()))
    if missing := [name for name in files if not (index.parent / name).is_file()]:
        raise ValueError(
            f"{index} lists {len(files)} files, of which {len(missing)} are missing, such as "
            f"{missing[0]}: download them into {index.parent}"
        )
    tensors: dict[str, Tensor] = {}
    for name in files:
        part: Any = open_checkpoint(index.parent / name)
        listed = [tensor for tensor, file in found.items() if file == name]
        lacks = [t for t in listed if not isinstance(part, Mapping) or t not in part]
        if lacks:
            raise ValueError(f"{index.parent / name} lacks {lacks[0]}, which {index.name} lists")
        tensors |= {tensor: part[tensor] for tensor in listed}
    return tensors


def _is_file_name(name: object) -> bool:
    """Whether it names a file of the same folder, not one elsewhere on the machine."""
    return isinstance(name, str) and name not in ("", ".", "..") and not set("/\\\0") & set(name)
