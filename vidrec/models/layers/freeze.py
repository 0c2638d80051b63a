"""Layers that keep their weights, their statistics or both during training."""

from collections.abc import Iterable

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norms(net: nn.Module) -> list[_BatchNorm]:
    """The BatchNorm layers of any dimension, synchronised ones too, in the order of their names."""
    return [module for module in net.modules() if isinstance(module, _BatchNorm)]


def stop_gradients(modules: Iterable[nn.Module]) -> None:
    """The parameters of the modules are not trained. For constructors: optimizers look once."""
    for module in modules:
        module.requires_grad_(False)


def stop_statistics(modules: Iterable[nn.Module]) -> None:
    """The modules behave as in evaluation. For `train()`, which has just undone it."""
    for module in modules:
        module.eval()
