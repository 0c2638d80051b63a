"""Temporal Shift Module (Lin et al., ICCV 2019): networks over frames that look at neighbours.

The shifts are put in place after the network is built; parameters are named as in MMAction2's
checkpoints.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

from torch import Tensor, nn

from vidrec.models.backbones.mobilenet_v2 import InvertedResidual, MobileNetV2
from vidrec.models.backbones.mobileone import MobileOne
from vidrec.models.backbones.resnet import DEPTHS, ResNet
from vidrec.models.layers.non_local import Mode, NonLocal
from vidrec.models.layers.temporal_shift import TemporalShift

ShiftPlace = Literal["blockres", "block"]


class ResNetTSM(ResNet):
    """ResNet whose residual branches begin with a shift.

    num_segments: frames of a clip.
    shift_div: of a layer's channels, one in shift_div comes from the next frame and as many from
        the previous one.
    shift_place: "blockres": the shift is in the residual branch (figure 3b); "block": before the
        whole block (figure 3a).
    non_local: for each stage a 0 or 1 for each block: whether a non-local block follows it (Wang et
        al., CVPR 2018); null: none.
    non_local_mode, non_local_use_scale, non_local_sub_sample: of `NonLocal`.
    The rest as in `ResNet`.
    """

    def __init__(
        self,
        depth: int,
        num_segments: int = 8,
        shift_div: int = 8,
        shift_place: ShiftPlace = "blockres",
        non_local: Sequence[Sequence[int]] | None = None,
        non_local_mode: Mode = "embedded_gaussian",
        non_local_use_scale: bool = False,
        non_local_sub_sample: bool = True,
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
        if shift_place == "blockres":
            for stage, index in temporal_places(self):
                conv1 = stage[index].conv1
                conv1.conv = TemporalShift(conv1.conv, num_segments, shift_div)
        elif shift_place == "block":
            for stage in self.stages():
                for index, block in enumerate(stage):
                    stage[index] = TemporalShift(block, num_segments, shift_div)
        else:
            raise ValueError(
                f"ResNetTSM has no shift_place='{shift_place}', choose one of "
                f"{', '.join(get_args(ShiftPlace))}"
            )
        if non_local is None:
            return
        sizes = [len(stage) for stage in self.stages()]
        if [len(flags) for flags in non_local] != sizes:
            raise ValueError(
                f"ResNetTSM non_local={[list(flags) for flags in non_local]}: the stages have "
                f"{', '.join(map(str, sizes))} blocks; give a 0 or 1 for each"
            )
        channels = 64 * DEPTHS[depth][0].expansion
        for stage, flags in zip(self.stages(), non_local, strict=True):
            for index in [index for index, flag in enumerate(flags) if flag]:
                block = NonLocal(
                    channels,
                    mode=non_local_mode,
                    use_scale=non_local_use_scale,
                    sub_sample=non_local_sub_sample,
                )
                stage[index] = NonLocalBlock(stage[index], block, num_segments)
            channels *= 2


class NonLocalBlock(nn.Module):
    """A residual block, then a non-local one over the clip of its frames."""

    def __init__(self, block: nn.Module, non_local_block: NonLocal, num_segments: int) -> None:
        super().__init__()
        self.block = block
        self.num_segments = num_segments
        self.non_local_block = non_local_block

    def forward(self, x: Tensor) -> Tensor:
        clips = self.block(x).unflatten(0, (-1, self.num_segments)).transpose(1, 2)
        return self.non_local_block(clips).transpose(1, 2).flatten(0, 1)


def temporal_places(net: ResNet) -> Iterator[tuple[Any, int]]:
    """The blocks that get a temporal module, as a stage and the index in it.

    All of them; in networks with a stage of 23 blocks or more (ResNet-101) every second one.
    """
    stages = net.stages()
    step = 2 if max(map(len, stages)) >= 23 else 1
    for stage in stages:
        for index in range(0, len(stage), step):
            yield stage, index


class MobileNetV2TSM(MobileNetV2):
    """MobileNetV2 with a shift at the beginning of every residual branch.

    num_segments, shift_div: as in `ResNetTSM`; the rest as in `MobileNetV2`.
    """

    def __init__(
        self,
        num_segments: int = 8,
        shift_div: int = 8,
        widen_factor: float = 1.0,
        in_channels: int = 3,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        checkpoint_stages: Sequence[int] = (),
    ) -> None:
        super().__init__(
            widen_factor=widen_factor,
            in_channels=in_channels,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            checkpoint_stages=checkpoint_stages,
        )
        for block in self.modules():
            if isinstance(block, InvertedResidual) and block.residual:
                block.conv[0] = TemporalShift(block.conv[0], num_segments, shift_div)


class MobileOneTSM(MobileOne):
    """MobileOne with a shift before every block, where re-parameterisation leaves it in place.

    num_segments, shift_div: as in `ResNetTSM`; the rest as in `MobileOne`.
    """

    def __init__(
        self,
        arch: Literal["s0", "s1", "s2", "s3", "s4"],
        num_segments: int = 8,
        shift_div: int = 8,
        in_channels: int = 3,
        deploy: bool = False,
        frozen_stages: int = -1,
        norm_eval: bool = False,
    ) -> None:
        super().__init__(
            arch,
            in_channels=in_channels,
            deploy=deploy,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
        )
        self.add_module("stage0", TemporalShift(self.stage0, num_segments, shift_div))
        for stage in self.children():
            if isinstance(stage, nn.Sequential):
                for index, block in enumerate(stage):
                    stage[index] = TemporalShift(block, num_segments, shift_div)
