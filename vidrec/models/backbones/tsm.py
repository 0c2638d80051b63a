"""Temporal Shift Module (Lin et al., ICCV 2019): image networks that see neighbouring frames.

The shifts are inserted after the network is built; parameters are named as in MMAction2's
checkpoints.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal, Unpack, get_args

from torch import Tensor, nn

from vidrec.models.backbones.mobilenet_v2 import (
    InvertedResidual,
    MobileNetV2,
    MobileNetV2Options,
)
from vidrec.models.backbones.mobileone import Arch, MobileOne, MobileOneOptions
from vidrec.models.backbones.resnet import DEPTHS, BasicBlock, Bottleneck, ResNet, ResNetOptions
from vidrec.models.layers.freeze import stop_gradients
from vidrec.models.layers.non_local import Mode, NonLocal
from vidrec.models.layers.temporal_shift import TemporalShift

ShiftPlace = Literal["blockres", "block"]


class ResNetTSM(ResNet):
    """ResNet whose residual branches begin with a temporal shift.

    num_segments: frames of a clip.
    shift_div: one in shift_div of a layer's channels comes from the next frame, as many from the
        previous one.
    bidirectional: false: no channels come from the next frame, one in shift_div from the previous
        one; such a network can run on a stream, see `vidrec.models.online_tsm`.
    shift_place: "blockres": the shift is in the residual branch (figure 3b); "block": before the
        whole block (figure 3a).
    non_local: per stage, a 0 or 1 for each block: whether a non-local block follows it (Wang et
        al., CVPR 2018); null: none.
    non_local_mode, non_local_use_scale, non_local_sub_sample: see `NonLocal`.
    options: see `ResNet`.
    """

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        depth: int,
        num_segments: int = 8,
        shift_div: int = 8,
        bidirectional: bool = True,
        shift_place: ShiftPlace = "blockres",
        non_local: Sequence[Sequence[int]] | None = None,
        non_local_mode: Mode = "embedded_gaussian",
        non_local_use_scale: bool = False,
        non_local_sub_sample: bool = True,
        **options: Unpack[ResNetOptions],
    ) -> None:
        super().__init__(depth, **options)
        shift = partial(
            TemporalShift,
            num_segments=num_segments,
            shift_div=shift_div,
            bidirectional=bidirectional,
        )
        if shift_place == "blockres":
            for _, _, block in temporal_places(self):
                block.conv1.conv = shift(block.conv1.conv)
        elif shift_place == "block":
            for stage in self.stages():
                for index, whole_block in enumerate(stage):
                    stage[index] = shift(whole_block)
        else:
            raise ValueError(
                f"ResNetTSM has no shift_place='{shift_place}', choose one of "
                f"{', '.join(get_args(ShiftPlace))}"
            )
        if non_local is not None:
            make_non_local = partial(
                NonLocal,
                mode=non_local_mode,
                use_scale=non_local_use_scale,
                sub_sample=non_local_sub_sample,
            )
            channels = 64 * DEPTHS[depth][0].expansion
            self._add_non_local(non_local, make_non_local, channels, num_segments)

    def _add_non_local(
        self,
        non_local: Sequence[Sequence[int]],
        make_non_local: Callable[[int], NonLocal],
        channels: int,
        num_segments: int,
    ) -> None:
        """channels: of the first stage; each stage has twice those of the one before."""
        sizes = [len(stage) for stage in self.stages()]
        if [len(flags) for flags in non_local] != sizes:
            raise ValueError(
                f"ResNetTSM non_local={[list(flags) for flags in non_local]}: the stages have "
                f"{', '.join(map(str, sizes))} blocks; give a 0 or 1 for each"
            )
        for stage, flags in zip(self.stages(), non_local, strict=True):
            for index in [index for index, flag in enumerate(flags) if flag]:
                non_local_block = make_non_local(channels)
                stage[index] = NonLocalBlock(stage[index], non_local_block, num_segments)
            channels *= 2
        stop_gradients(self._frozen())


class NonLocalBlock(nn.Module):
    """A residual block over frames, then a non-local block over the clip they belong to."""

    def __init__(self, block: nn.Module, non_local_block: NonLocal, num_segments: int) -> None:
        super().__init__()
        self.block = block
        self.num_segments = num_segments
        self.non_local_block = non_local_block

    def forward(self, x: Tensor) -> Tensor:
        """(B * T, C, H, W) -> (B * T, out, h, w)."""
        clips = self.block(x).unflatten(0, (-1, self.num_segments)).transpose(1, 2)
        return self.non_local_block(clips).transpose(1, 2).flatten(0, 1)


def temporal_places(net: ResNet) -> Iterator[tuple[nn.Sequential, int, BasicBlock | Bottleneck]]:
    """The blocks that get a temporal module: the stage, the index in it and the block.

    All blocks; in networks with a stage of 23 blocks or more (ResNet-101) every second one.
    """
    stages = net.stages()
    step = 2 if max(map(len, stages)) >= 23 else 1
    for stage in stages:
        for index in range(0, len(stage), step):
            block = stage[index]
            assert isinstance(block, BasicBlock | Bottleneck)
            yield stage, index, block


class MobileNetV2TSM(MobileNetV2):
    """MobileNetV2 with a temporal shift at the beginning of every residual branch.

    num_segments, shift_div, bidirectional: see `ResNetTSM`. options: see `MobileNetV2`.
    """

    def __init__(
        self,
        num_segments: int = 8,
        shift_div: int = 8,
        bidirectional: bool = True,
        **options: Unpack[MobileNetV2Options],
    ) -> None:
        super().__init__(**options)
        for block in self.modules():
            if isinstance(block, InvertedResidual) and block.residual:
                block.conv[0] = TemporalShift(block.conv[0], num_segments, shift_div, bidirectional)


class MobileOneTSM(MobileOne):
    """MobileOne with a temporal shift before every block; `switch_to_deploy` keeps the shifts.

    num_segments, shift_div, bidirectional: see `ResNetTSM`. arch, options: see `MobileOne`.
    """

    def __init__(
        self,
        arch: Arch,
        num_segments: int = 8,
        shift_div: int = 8,
        bidirectional: bool = True,
        **options: Unpack[MobileOneOptions],
    ) -> None:
        super().__init__(arch, **options)
        shift = partial(
            TemporalShift,
            num_segments=num_segments,
            shift_div=shift_div,
            bidirectional=bidirectional,
        )
        self.add_module("stage0", shift(self.stage0))
        for stage in self.children():
            if isinstance(stage, nn.Sequential):
                for index, block in enumerate(stage):
                    stage[index] = shift(block)
