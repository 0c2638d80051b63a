"""Parameters and multiply-adds of a network, counted without computing anything."""

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

Clip = tuple[int, int, int, int]  # frames, channels, height, width


class Complexity(NamedTuple):
    parameters: int
    multiply_adds: int  # of one view


def count(net: nn.Module, clip: Clip) -> Complexity:
    """Of a recognizer on the meta device, for one view of a video.

    Published "FLOPs" are multiply-adds of convolutions, linear layers and products of matrices,
    which torch's counter takes for two each, and two or five operations for each value that a
    batch or layer normalisation gives; activations, sums and pooling are left out.
    """
    view = torch.empty(1, 1, *clip, device="meta")
    aten = torch.ops.aten
    normalisations = {
        aten.native_batch_norm: lambda x, *_, out_shape, **__: 2 * 2 * _size(x),
        aten.native_layer_norm: lambda x, *_, out_shape, **__: 2 * 5 * _size(x),
    }
    net.eval()
    # With gradients: without, torch takes a fused transformer layer that the counter cannot see.
    with (
        torch.enable_grad(),
        FlopCounterMode(display=False, custom_mapping=normalisations) as flops,
    ):
        net.outputs(view)  # type: ignore[operator]
    parameters = sum(parameter.numel() for parameter in net.parameters())
    return Complexity(parameters, flops.get_total_flops() // 2)


def _size(shape: Any) -> int:
    return torch.Size(shape).numel()


def clip_of(conf: Any) -> Clip:
    """One view of the tests of a composed recognition experiment."""
    frames = conf.model.clip.frames_per_view or conf.data.sampling["test"]["num_clips"]
    edge = conf.data.transforms["test"]["crop"]["crop_size"]
    return frames, conf.model.channels, edge, edge
