"""What the results of a network are known by: its weights, not the name of their file."""

import hashlib
from collections.abc import Iterable

import torch
from torch import nn


def digest_of(net: nn.Module, names: Iterable[str]) -> str:
    """SHA-256 in hex of the tensors with these names, with their shapes and types."""
    state = net.state_dict()
    found = hashlib.sha256()
    for name in sorted(names):
        tensor = state[name].detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()
