"""Temporal Interlacing Network (Shao et al., AAAI 2020), named as in MMAction2's checkpoints."""

from typing import Unpack

from torch import nn

from vidrec.models.backbones.resnet import ResNet, ResNetOptions
from vidrec.models.backbones.tsm import temporal_places
from vidrec.models.layers.freeze import stop_gradients
from vidrec.models.layers.temporal_interlace import Interlaced, TemporalInterlace


class ResNetTIN(ResNet):
    """ResNet whose residual branches begin with a learned temporal shift.

    num_segments: frames of a clip.
    shift_div: one in shift_div of a layer's channels moves.
    options: see `ResNet`.
    """

    def __init__(
        self,
        depth: int,
        num_segments: int = 8,
        shift_div: int = 4,
        **options: Unpack[ResNetOptions],
    ) -> None:
        super().__init__(depth, **options)
        for _, _, block in temporal_places(self):
            convolution = block.conv1.conv
            assert isinstance(convolution, nn.Conv2d)
            interlace = TemporalInterlace(convolution.in_channels, num_segments, shift_div)
            block.conv1.conv = Interlaced(interlace, convolution)
        stop_gradients(self._frozen())
