"""X3D (Feichtenhofer, CVPR 2020): a small network expanded along several axes."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from vidrec.models.layers.checkpoint import run_blocks
from vidrec.models.layers.conv3d import ConvBN3d
from vidrec.models.layers.freeze import batch_norms, stop_gradients, stop_statistics
from vidrec.models.layers.stages import check_stages

STAGE_BLOCKS = (1, 2, 5, 3)  # of X2D, which X3D expands (table 1)


class SqueezeExcite(nn.Module):
    """Scales channels by weights computed from their averages (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        hidden = round_width(channels, ratio)
        self.fc1 = nn.Conv3d(channels, hidden, 1)
        self.fc2 = nn.Conv3d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> the same shape."""
        weights = self.fc2(self.fc1(x.mean(dim=(2, 3, 4), keepdim=True)).relu())
        return x * weights.sigmoid()


class BlockX3D(nn.Module):
    """1x1x1, depthwise 3x3x3 and 1x1x1 convolutions, optionally with `SqueezeExcite`."""

    def __init__(
        self,
        in_channels: int,
        inner_channels: int,
        out_channels: int,
        stride: int,
        se_ratio: float | None,
        use_swish: bool,
    ) -> None:
        super().__init__()
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = ConvBN3d(
                in_channels, out_channels, (1, 1, 1), (1, stride, stride), relu=False
            )
        self.conv1 = ConvBN3d(in_channels, inner_channels)
        self.conv2 = ConvBN3d(
            inner_channels,
            inner_channels,
            (3, 3, 3),
            (1, stride, stride),
            groups=inner_channels,
            relu=False,
        )
        self.swish = nn.SiLU(inplace=True) if use_swish else nn.ReLU(inplace=True)
        self.conv3 = ConvBN3d(inner_channels, out_channels, relu=False)
        self.se_module = None if se_ratio is None else SqueezeExcite(inner_channels, se_ratio)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, out, T, h, w)."""
        identity = x if self.downsample is None else self.downsample(x)
        x = self.conv2(self.conv1(x))
        if self.se_module is not None:
            x = self.se_module(x)
        return self.relu(self.conv3(self.swish(x)) + identity)


class SpatialStem(nn.Module):
    """A 1x3x3 convolution of stride 2 in space."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(
            in_channels, out_channels, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, out, T, h, w)."""
        return self.conv(x)


class X3D(nn.Module):
    """Clips to a map of stride 32 in space and 1 in time.

    gamma_w, gamma_b, gamma_d: expansion of width, bottleneck width and depth; the other axes are
        those of the clip (section 3.2). X3D-S and -M: 1, 2.25, 2.2.
    base_channels: of the stem, before gamma_w.
    se_ratio: hidden channels of every other block's `SqueezeExcite` over its channels; null: none.
    use_swish: SiLU instead of ReLU inside blocks.
    frozen_stages: the stem (0) and the stages up to this one (1 to 4) are not trained; -1: all are.
    norm_eval: BatchNorm keeps its running statistics in training.
    checkpoint_stages: stages, counted from 1, whose activations are recomputed in the backward
        pass: less memory, more time.
    zero_init_residual: blocks start as the identity.
    """

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        gamma_w: float = 1.0,
        gamma_b: float = 1.0,
        gamma_d: float = 1.0,
        in_channels: int = 3,
        base_channels: int = 24,
        se_ratio: float | None = 1 / 16,
        use_swish: bool = True,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        checkpoint_stages: Sequence[int] = (),
        zero_init_residual: bool = True,
    ) -> None:
        super().__init__()
        check_stages("X3D", len(STAGE_BLOCKS), frozen_stages, checkpoint_stages)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.checkpoint_stages = tuple(checkpoint_stages)
        width = base = round_width(base_channels, gamma_w)
        self.conv1_s = SpatialStem(in_channels, base)
        self.conv1_t = ConvBN3d(base, base, (5, 1, 1), groups=base)
        for stage, num_blocks in enumerate(STAGE_BLOCKS):
            channels = base * 2**stage
            blocks: list[nn.Module] = []
            for block in range(math.ceil(gamma_d * num_blocks)):
                ratio = se_ratio if block % 2 == 0 else None
                inner = int(channels * gamma_b)
                stride = 2 if block == 0 else 1
                blocks.append(BlockX3D(width, inner, channels, stride, ratio, use_swish))
                width = channels
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.out_channels = int(width * gamma_b)
        self.conv5 = ConvBN3d(width, self.out_channels)

        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, BlockX3D) and zero_init_residual:
                nn.init.zeros_(module.conv3.bn.weight)
        stop_gradients(self._frozen())

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, T, H, W) -> (B, out_channels, T, H / 32, W / 32)."""
        x = self.conv1_t(self.conv1_s(x))
        for number, stage in enumerate(self._stages(), start=1):
            x = run_blocks(stage, x, self.training and number in self.checkpoint_stages)
        return self.conv5(x)

    def train(self, mode: bool = True) -> "X3D":
        super().train(mode)
        stop_statistics(self._frozen())
        if self.norm_eval:
            stop_statistics(batch_norms(self))
        return self

    def _stages(self) -> list[nn.Sequential]:
        return [stage for stage in self.children() if isinstance(stage, nn.Sequential)]

    def _frozen(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        return [self.conv1_s, self.conv1_t, *self._stages()[: self.frozen_stages]]


def round_width(width: int, factor: float) -> int:
    """The multiple of 8 nearest to width * factor, at least 8 and at least nine tenths of it.

    >>> round_width(54, 1 / 16), round_width(432, 1 / 16)
    (8, 32)
    """
    wanted = width * factor
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded
