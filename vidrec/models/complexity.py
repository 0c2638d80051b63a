"""Parameters and multiply-adds of a network, counted on the meta device."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

ClipShape = tuple[int, int, int, int]  # frames, channels, height, width

# Multiply-adds that published tables count for each value that a normalisation returns.
NORMALISATIONS: dict[Callable[..., object], int] = {
    functional.batch_norm: 2,
    functional.layer_norm: 5,
}


class Complexity(NamedTuple):
    parameters: int
    multiply_adds: int  # of one view


def count(net: nn.Module, clip: ClipShape) -> Complexity:
    """Parameters and multiply-adds of a recognizer on the meta device, for one view of a video.

    Published "FLOPs" are the multiply-adds of convolutions, linear layers and matrix products, plus
    two or five for each value that a batch or layer normalisation returns. Activations, sums and
    pooling are left out.
    """
    view = torch.empty(1, 1, *clip, device="meta")
    net.eval()
    with (
        torch.enable_grad(),  # without gradients torch runs fused transformer layers, not counted
        sdpa_kernel(SDPBackend.MATH),  # attention as two matrix products, on any version of torch
        _NormalisationCounter() as normalisations,
        FlopCounterMode(display=False) as products,
    ):
        net.outputs(view)  # type: ignore[operator]
    parameters = sum(parameter.numel() for parameter in net.parameters())
    # FlopCounterMode counts a multiply-add as two operations.
    return Complexity(parameters, products.get_total_flops() // 2 + normalisations.multiply_adds)


class _NormalisationCounter(TorchFunctionMode):
    """Counts calls of the functions of torch.nn.functional that normalisation layers end in.

    Not through `FlopCounterMode(custom_mapping=...)`: since torch 2.14 it decomposes the operators
    of a normalisation before it looks them up.
    """

    def __init__(self) -> None:
        super().__init__()
        self.multiply_adds = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func in NORMALISATIONS:
            self.multiply_adds += NORMALISATIONS[func] * output.numel()
        return output


def clip_of(conf: Any) -> ClipShape:
    """Shape of one test view of a composed recognition experiment."""
    frames = conf.model.clip.frames_per_view or conf.data.sampling["test"]["num_clips"]
    edge = conf.data.transforms["test"]["crop"]["crop_size"]
    return frames, conf.model.channels, edge, edge
