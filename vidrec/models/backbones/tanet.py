"""Temporal Adaptive Network (Liu et al., ICCV 2021), named as in MMAction2's checkpoints."""

from collections.abc import Sequence

from torch import Tensor, nn

from vidrec.models.backbones.resnet import BasicBlock, Bottleneck, ResNet
from vidrec.models.backbones.tsm import temporal_places
from vidrec.models.layers.temporal_adaptive import TAM


class TemporalAdaptiveBlock(nn.Module):
    """A residual block with a temporal adaptive module after its first convolution (figure 3)."""

    def __init__(self, block: BasicBlock | Bottleneck, num_segments: int) -> None:
        super().__init__()
        self.block = block
        self.tam = TAM(block.conv1.conv.out_channels, num_segments)

    def forward(self, x: Tensor) -> Tensor:
        block = self.block
        identity = x if block.downsample is None else block.downsample(x)
        x = block.conv2(self.tam(block.conv1(x)))
        if isinstance(block, Bottleneck):
            x = block.conv3(x)
        return block.relu(x + identity)


class TANet(ResNet):
    """ResNet whose residual branches convolve along time with kernels made for each clip.

    num_segments: frames of a clip; the weights depend on it. The rest as in `ResNet`.
    """

    def __init__(
        self,
        depth: int,
        num_segments: int = 8,
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
            stage[index] = TemporalAdaptiveBlock(stage[index], num_segments)
