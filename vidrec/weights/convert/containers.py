"""Where checkpoints keep their named tensors."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Ours, MMAction2's and most others', PySlowFast's and pytorchvideo's, VideoMAE's, caffe2's.
_CONTAINERS = (
    "net",
    "state_dict",
    "model_state",
    "model_state_dict",
    "model",
    "module",
    "encoder",
    "blobs",
)
_AVERAGED = ("ema", "state_dict_ema", "model_ema")


def find_tensors(content: Any, averaged: bool = True) -> dict[str, Tensor]:
    """The named tensors of an opened checkpoint, whatever they are wrapped in; empty without any.

    averaged: take moving averages of the weights where the checkpoint has them.

    >>> sorted(find_tensors({"epoch": 3, "state_dict": {"fc.weight": torch.zeros(2)}}))
    ['fc.weight']
    """
    tensors = _find(content)
    if averaged and isinstance(content, Mapping):
        for key in _AVERAGED:
            mean = {name.removeprefix("module."): t for name, t in _find(content.get(key)).items()}
            if tensors.keys() & mean.keys():
                # An average may leave out buffers: those come from the weights themselves.
                return tensors | mean
    return tensors


def _find(content: Any, depth: int = 3) -> dict[str, Tensor]:
    if not isinstance(content, Mapping) or depth == 0:
        return {}
    for key in _CONTAINERS:
        if found := _find(content.get(key), depth - 1):
            return found
    tensors = {}
    for name, value in content.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            value = torch.from_numpy(value.astype(value.dtype.newbyteorder("=")))
        if isinstance(value, Tensor) and isinstance(name, str):
            tensors[name] = value.detach()
    inner = [_find(value, depth - 1) for key, value in content.items() if key not in _AVERAGED]
    return max([tensors, *inner], key=len)
