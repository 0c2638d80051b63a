"""BatchNorm statistics over many batches at once, for the weights as they are (Wu and Johnson,
2021, section 3.2).
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from vidrec.engine.distributed import Distributed


@torch.no_grad()
def precise_bn(
    net: nn.Module, batches: Iterable[dict[str, Any]], num_batches: int, dist: Distributed
) -> int:
    """Replace the running statistics of trained BatchNorms by their mean over `num_batches`
    batches a rank.

    net: the bare module, left in training mode as it was. batches: on the net's device. The
    variance is the mean of the batches' variances plus the variance of their means. Returns the
    number of batches used.
    """
    layers: list[Any] = [
        m
        for m in net.modules()
        if isinstance(m, _BatchNorm) and m.training and m.track_running_stats
    ]
    if not layers:
        return 0
    momenta = [layer.momentum for layer in layers]
    sums = [
        torch.zeros(3, layer.num_features, device=layer.running_mean.device) for layer in layers
    ]
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
