"""Temporal Interlacing Network (Shao et al., AAAI 2020), named as in MMAction2's checkpoints."""

from collections.abc import Sequence

from vidrec.models.backbones.resnet import ResNet
from vidrec.models.backbones.tsm import temporal_places
from vidrec.models.layers.temporal_interlace import Interlaced, TemporalInterlace


class ResNetTIN(ResNet):
    """ResNet whose residual branches begin with a learned shift along time.

    num_segments: frames of a clip.
    shift_div: one in shift_div of a layer's channels move.
    The rest as in `ResNet`.
    """

    def __init__(
        self,
        depth: int,
        num_segments: int = 8,
        shift_div: int = 4,
        in_channels: int = 3,
        num_stages: int = 4,
        out_indices: Sequence[int] | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        partial_bn: bool = False,
        checkpoint_stages: Sequence[int] = (),
    ) -> None:
        super().__init__(
            depth,
            in_channels=in_channels,
            num_stages=num_stages,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            partial_bn=partial_bn,
            checkpoint_stages=checkpoint_stages,
        )
        for stage, index in temporal_places(self):
            conv1 = stage[index].conv1
            interlace = TemporalInterlace(conv1.conv.in_channels, num_segments, shift_div)
            conv1.conv = Interlaced(interlace, conv1.conv)
