"""Finding the named tensors in a checkpoint."""

from collections.abc import Mapping

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


def find_tensors(content: object, averaged: bool = True) -> dict[str, Tensor]:
    """The named tensors of an opened checkpoint, however they are nested; empty if there are none.

    averaged: prefer the moving average of the weights if the checkpoint has one.

    >>> sorted(find_tensors({"epoch": 3, "state_dict": {"fc.weight": torch.zeros(2)}}))
    ['fc.weight']
    """
    tensors = _find(content)
    if averaged and isinstance(content, Mapping):
        for key in _AVERAGED:
            mean = {name.removeprefix("module."): t for name, t in _find(content.get(key)).items()}
            if tensors.keys() & mean.keys():
                # An average may lack buffers, which are then taken from the weights themselves.
                return tensors | mean
    return tensors


def _find(content: object, depth: int = 3) -> dict[str, Tensor]:
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
