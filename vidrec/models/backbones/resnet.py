"""ResNet for images (He et al., CVPR 2016), stride in the 3x3 convolution as torchvision has it."""

from collections.abc import Sequence
from typing import TypedDict

from torch import Tensor, nn

from vidrec.models.layers.checkpoint import run_blocks
from vidrec.models.layers.conv import ConvBN
from vidrec.models.layers.freeze import batch_norms, stop_gradients, stop_statistics
from vidrec.models.layers.stages import check_stages


class BasicBlock(nn.Module):
    """Two 3x3 convolutions (figure 5, left)."""

    expansion = 1

    def __init__(
        self, in_channels: int, channels: int, stride: int, downsample: nn.Module | None
    ) -> None:
        super().__init__()
        self.conv1 = ConvBN(in_channels, channels, 3, stride, padding=1)
        self.conv2 = ConvBN(channels, channels, 3, padding=1, relu=False)
        self.downsample = downsample
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out, h, w)."""
        identity = x if self.downsample is None else self.downsample(x)
        return self.relu(self.conv2(self.conv1(x)) + identity)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions (figure 5, right)."""

    expansion = 4

    def __init__(
        self, in_channels: int, channels: int, stride: int, downsample: nn.Module | None
    ) -> None:
        super().__init__()
        self.conv1 = ConvBN(in_channels, channels, 1)
        self.conv2 = ConvBN(channels, channels, 3, stride, padding=1)
        self.conv3 = ConvBN(channels, channels * self.expansion, 1, relu=False)
        self.downsample = downsample
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out, h, w)."""
        identity = x if self.downsample is None else self.downsample(x)
        return self.relu(self.conv3(self.conv2(self.conv1(x))) + identity)


Block = type[BasicBlock] | type[Bottleneck]

# Table 1: the block and how many of them each of the four stages has.
DEPTHS: dict[int, tuple[Block, tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


class ResNetOptions(TypedDict, total=False):
    """Arguments of `ResNet` that the networks built on it take as well, with their meaning."""

    in_channels: int
    num_stages: int
    out_indices: Sequence[int] | None
    frozen_stages: int
    norm_eval: bool
    partial_bn: bool
    checkpoint_stages: Sequence[int]
    zero_init_residual: bool


class ResNet(nn.Module):
    """Images to a feature map of stride 32.

    depth: 18, 34, 50, 101 or 152.
    num_stages: number of stages, at most 4.
    out_indices: stages, counted from 0, whose maps are returned; null: the last one.
    frozen_stages: the stem (0) and the stages up to this one (1 to 4) are not trained; -1: all are.
    norm_eval: BatchNorm keeps its running statistics in training.
    partial_bn: BatchNorm is frozen, statistics and weights, in all layers but the first (Wang et
        al., ECCV 2016, section 3.2).
    checkpoint_stages: stages, counted from 1, whose activations are recomputed in the backward
        pass: less memory, more time.
    zero_init_residual: blocks start as the identity (Goyal et al., 2017, section 5.1).
    """

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        depth: int,
        in_channels: int = 3,
        num_stages: int = 4,
        out_indices: Sequence[int] | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        partial_bn: bool = False,
        checkpoint_stages: Sequence[int] = (),
        zero_init_residual: bool = False,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if depth not in DEPTHS:
            raise ValueError(f"{name} has no depth={depth}, choose one of {list(DEPTHS)}")
        if not 1 <= num_stages <= 4:
            raise ValueError(f"{name} num_stages={num_stages} is not in 1 to 4")
        self.out_indices = (num_stages - 1,) if out_indices is None else tuple(out_indices)
        check_stages(name, num_stages, frozen_stages, checkpoint_stages, self.out_indices)
        self.in_channels = in_channels
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.partial_bn = partial_bn
        self.checkpoint_stages = tuple(checkpoint_stages)

        block, num_blocks = DEPTHS[depth]
        self.conv1 = ConvBN(in_channels, 64, 7, stride=2, padding=3)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        width = 64
        for stage in range(1, num_stages + 1):
            channels, stride = 64 * 2 ** (stage - 1), 1 if stage == 1 else 2
            self.add_module(
                f"layer{stage}", _stage(block, width, channels, num_blocks[stage - 1], stride)
            )
            width = channels * block.expansion
        self.out_channels = 64 * 2 ** self.out_indices[-1] * block.expansion

        self._initialise(zero_init_residual)
        stop_gradients(self._frozen())
        if partial_bn:
            stop_gradients(batch_norms(self)[1:])

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """(B, in_channels, H, W) -> (B, out_channels, H / 32, W / 32); a tuple for several."""
        x = self.maxpool(self.conv1(x))
        maps = []
        for index in range(len(self.stages())):
            x = self.stage(index, x)
            if index in self.out_indices:
                maps.append(x)
        return maps[0] if len(maps) == 1 else tuple(maps)

    def stage(self, index: int, x: Tensor) -> Tensor:
        recompute = self.training and index + 1 in self.checkpoint_stages
        return run_blocks(self.stages()[index], x, recompute)

    def train(self, mode: bool = True) -> "ResNet":
        super().train(mode)
        stop_statistics(self._frozen())
        if self.norm_eval:
            stop_statistics(batch_norms(self))
        elif self.partial_bn:
            stop_statistics(batch_norms(self)[1:])
        return self

    def stages(self) -> list[nn.Sequential]:
        """The stages, each a sequence of blocks."""
        return [stage for stage in self.children() if isinstance(stage, nn.Sequential)]

    def _frozen(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        return [self.conv1, *self.stages()[: self.frozen_stages]]

    def _initialise(self, zero_init_residual: bool) -> None:
        """He et al., ICCV 2015, for convolutions; BatchNorm starts as the identity by itself."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, BasicBlock | Bottleneck) and zero_init_residual:
                last = module.conv2 if isinstance(module, BasicBlock) else module.conv3
                nn.init.zeros_(last.bn.weight)


def _stage(
    block: Block, in_channels: int, channels: int, num_blocks: int, stride: int
) -> nn.Sequential:
    width = channels * block.expansion
    downsample = None
    if stride != 1 or in_channels != width:
        downsample = ConvBN(in_channels, width, 1, stride, relu=False)
    blocks = [block(in_channels, channels, stride, downsample)]
    blocks += [block(width, channels, 1, None) for _ in range(num_blocks - 1)]
    return nn.Sequential(*blocks)
