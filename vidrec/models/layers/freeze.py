"""Freezing weights, BatchNorm statistics or both."""

from collections.abc import Iterable

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norms(net: nn.Module) -> list[_BatchNorm]:
    """All BatchNorm layers, of any dimension and synchronised ones too, in order of definition."""
    return [module for module in net.modules() if isinstance(module, _BatchNorm)]


def stop_gradients(modules: Iterable[nn.Module]) -> None:
    """Excludes the modules' parameters from training; called in constructors, before optimizers."""
    for module in modules:
        module.requires_grad_(False)


def stop_statistics(modules: Iterable[nn.Module]) -> None:
    """Puts the modules in evaluation mode; called at the end of `train()`, which undoes it."""
    for module in modules:
        module.eval()
