"""Temporal Adaptive Network (Liu et al., ICCV 2021), named as in MMAction2's checkpoints."""

from typing import Unpack

from torch import Tensor, nn

from vidrec.models.backbones.resnet import BasicBlock, Bottleneck, ResNet, ResNetOptions
from vidrec.models.backbones.tsm import temporal_places
from vidrec.models.layers.freeze import stop_gradients
from vidrec.models.layers.temporal_adaptive import TAM


class TemporalAdaptiveBlock(nn.Module):
    """A residual block with a temporal adaptive module after its first convolution (figure 3)."""

    def __init__(self, block: BasicBlock | Bottleneck, num_segments: int) -> None:
        super().__init__()
        self.block = block
        self.tam = TAM(block.conv1.bn.num_features, num_segments)

    def forward(self, x: Tensor) -> Tensor:
        """(B * T, C, H, W) -> (B * T, out, h, w)."""
        block = self.block
        identity = x if block.downsample is None else block.downsample(x)
        x = block.conv2(self.tam(block.conv1(x)))
        if isinstance(block, Bottleneck):
            x = block.conv3(x)
        return block.relu(x + identity)


class TANet(ResNet):
    """ResNet whose residual branches convolve over time with kernels predicted from the clip.

    num_segments: frames of a clip; the shape of the weights depends on it.
    options: see `ResNet`.
    """

    def __init__(self, depth: int, num_segments: int = 8, **options: Unpack[ResNetOptions]) -> None:
        super().__init__(depth, **options)
        for stage, index, block in temporal_places(self):
            stage[index] = TemporalAdaptiveBlock(block, num_segments)
        stop_gradients(self._frozen())
