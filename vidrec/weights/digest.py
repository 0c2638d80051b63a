"""What the results of a network are known by: its weights, not the name of their file."""

import hashlib
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


def digest_of(net: nn.Module, names: Iterable[str]) -> str:
    """SHA-256 in hex of the tensors with these names, with their shapes and types."""
    state = net.state_dict()
    return digest_of_tensors({name: state[name] for name in names})


def digest_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 in hex of named tensors, with their shapes and types, in the order of the names."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
