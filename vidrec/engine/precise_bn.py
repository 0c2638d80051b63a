"""BatchNorm statistics over many batches at once, for the weights as they are (Wu and Johnson,
2021, section 3.2).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vidrec.engine.distributed import Distributed


def trained_batch_norms(net: nn.Module) -> list[Any]:
    """The BatchNorm layers whose running statistics follow the batches in training mode."""
    return [
        module
        for module in net.modules()
        if isinstance(module, _BatchNorm) and module.training and module.track_running_stats
    ]


def check_batch_norms(net: nn.Module) -> None:
    """Raise ValueError if there is nothing for `schedule.precise_bn`. Leaves `net` in training
    mode.
    """
    if not trained_batch_norms(net.train()):
        raise ValueError(
            "schedule.precise_bn re-estimates the statistics of BatchNorm layers, but no BatchNorm "
            "layer of this network is trained: set schedule.precise_bn=0"
        )


@torch.no_grad()
def precise_bn(
    net: nn.Module, batches: Iterable[Mapping[str, Tensor]], num_batches: int, dist: Distributed
) -> int:
    """Replace the running statistics of trained BatchNorm layers by those of `num_batches` batches
    on each rank.

    net: the bare module, already in training mode. batches: on the network's device. The mean is
    the mean of the batches' means; the variance is the mean of the batches' variances plus the
    variance of their means. Returns the number of batches used.
    """
    layers = trained_batch_norms(net)
    momenta = [layer.momentum for layer in layers]
    sums = [layer.running_mean.new_zeros(3, layer.num_features) for layer in layers]
    used = 0
    for layer in layers:
        layer.momentum = 1.0  # the running statistics become those of the batch
    for batch in batches:
        net(batch)
        used += 1
        for total, layer in zip(sums, layers, strict=True):
            mean, variance = layer.running_mean, layer.running_var
            total += torch.stack((mean, mean**2, variance))
        if used == num_batches:
            break
    for total in sums:
        total /= max(used, 1)
    dist.mean_(sums)
    for layer, momentum, (mean, square, variance) in zip(layers, momenta, sums, strict=True):
        layer.momentum = momentum
        if used:
            layer.running_mean.copy_(mean)
            layer.running_var.copy_(variance + (square - mean**2).clamp_(min=0))
    return used
