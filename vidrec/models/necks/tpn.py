"""Temporal Pyramid Network (Yang et al., CVPR 2020), named as in MMAction2's checkpoints."""

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from vidrec.models.layers.conv3d import ConvBN3d

Flow = Literal["cascade", "parallel"]


class Named(nn.Module):
    """A module under the name `conv`, as checkpoints have it."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class SpatialModulation(nn.Module):
    """Converts every level to the channels and the size of the last one (section 3.2)."""

    def __init__(self, in_channels: Sequence[int]) -> None:
        super().__init__()
        self.spatial_modulation = nn.ModuleList()
        for channels in in_channels:
            steps = int(math.log2(in_channels[-1] // channels))
            halvings = [
                ConvBN3d(channels * 2**step, channels * 2 ** (step + 1), (1, 3, 3), (1, 2, 2))
                for step in range(steps)
            ]
            self.spatial_modulation.append(nn.ModuleList(halvings or [nn.Identity()]))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Levels (B, C, T, h, w), C and size of each -> those of the last level."""
        outs = []
        for x, halvings in zip(levels, self.spatial_modulation, strict=True):
            assert isinstance(halvings, nn.ModuleList)
            for halving in halvings:
                x = halving(x)
            outs.append(x)
        return outs


class TemporalModulation(nn.Module):
    """A convolution over time, then max pooling over time (section 3.2)."""

    def __init__(self, in_channels: int, out_channels: int, scale: int) -> None:
        super().__init__()
        self.conv = Named(_temporal_convolution(in_channels, out_channels, groups=32))
        self.pool = nn.MaxPool3d((scale, 1, 1), (scale, 1, 1), ceil_mode=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, out, T / scale, H, W)."""
        return self.pool(self.conv(x))


class LevelFusion(nn.Module):
    """Combines all levels into one map (section 3.3)."""

    def __init__(self, num_levels: int, channels: int, out_channels: int) -> None:
        super().__init__()
        self.downsamples = nn.ModuleList(
            Named(ConvBN3d(channels, channels, (1, 1, 1), groups=32)) for _ in range(num_levels)
        )
        self.fusion_conv = ConvBN3d(channels * num_levels, out_channels, (1, 1, 1))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Levels (B, C, T, H, W) of one size -> (B, out, T, H, W)."""
        reduced = [conv(x) for conv, x in zip(self.downsamples, levels, strict=True)]
        return self.fusion_conv(torch.cat(reduced, dim=1))


class AuxiliaryHead(nn.Module):
    """A classifier on the last level but one, used in training only."""

    def __init__(self, in_channels: int, num_classes: int, dropout_ratio: float) -> None:
        super().__init__()
        self.conv = ConvBN3d(in_channels, in_channels * 2, (1, 3, 3), (1, 2, 2))
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc = nn.Linear(in_channels * 2, num_classes)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> logits (B, K)."""
        return self.fc(self.dropout(self.conv(x).mean(dim=(2, 3, 4))))


class TPN(nn.Module):
    """Modulates the tempo of every level of a backbone, then fuses them top-down and bottom-up.

    in_channels: of the levels; the last one's divided by each is a power of two, as are the sizes
        of their maps.
    num_classes: of the auxiliary classifier on the last level but one; null: there is none.
    out_channels: of a level inside the pyramid. fused_channels: of the result.
    temporal_scale: frames of a level that are pooled into one.
    flow: "cascade": the bottom-up path starts from the result of the top-down path; "parallel":
        from the levels themselves (figure 3).
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int | None,
        out_channels: int = 1024,
        fused_channels: int = 2048,
        temporal_scale: int = 8,
        flow: Flow = "cascade",
        dropout_ratio: float = 0.5,
    ) -> None:
        super().__init__()
        if flow not in get_args(Flow):
            raise ValueError(f"TPN has no flow='{flow}', choose {' or '.join(get_args(Flow))}")
        ratios = {in_channels[-1] / channels for channels in in_channels} if in_channels else set()
        if len(in_channels) < 2 or not all(math.log2(ratio).is_integer() for ratio in ratios):
            raise ValueError(
                f"TPN in_channels={list(in_channels)}: give the channels of two or more levels, as "
                "in backbone.out_indices, that differ by powers of two"
            )
        num_levels = len(in_channels)
        self.flow = flow
        self.temporal_modulation_ops = nn.ModuleList(
            TemporalModulation(in_channels[-1], out_channels, temporal_scale)
            for _ in range(num_levels)
        )
        self.downsample_ops = nn.ModuleList(
            Named(Named(_temporal_convolution(out_channels, out_channels)))
            for _ in range(num_levels - 1)
        )
        self.level_fusion_1 = LevelFusion(num_levels, out_channels, fused_channels)
        self.spatial_modulation = SpatialModulation(in_channels)
        self.level_fusion_2 = LevelFusion(num_levels, out_channels, fused_channels)
        self.pyramid_fusion = ConvBN3d(fused_channels * 2, fused_channels, (1, 1, 1))
        self.aux_head = (
            None
            if num_classes is None
            else AuxiliaryHead(in_channels[-2], num_classes, dropout_ratio)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.xavier_uniform_(module.weight)

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Maps (B, C, T, h, w), the finest first -> map (B, fused_channels, T', h', w').

        In training also the logits (B, K) of the auxiliary classifier, else None.
        """
        auxiliary = None
        if self.training and self.aux_head is not None:
            auxiliary = self.aux_head(levels[-2])
        modulated = [
            modulation(x)
            for modulation, x in zip(
                self.temporal_modulation_ops, self.spatial_modulation(levels), strict=True
            )
        ]
        outs = list(modulated)
        for level in range(len(outs) - 1, 0, -1):
            outs[level - 1] = outs[level - 1] + outs[level]
        from_top = self.level_fusion_1(outs)
        if self.flow == "parallel":
            outs = list(modulated)
        for level, downsample in enumerate(self.downsample_ops):
            outs[level + 1] = outs[level + 1] + downsample(outs[level])
        from_bottom = self.level_fusion_2(outs)
        return self.pyramid_fusion(torch.cat([from_top, from_bottom], dim=1)), auxiliary


def _temporal_convolution(in_channels: int, out_channels: int, groups: int = 1) -> nn.Conv3d:
    return nn.Conv3d(
        in_channels, out_channels, (3, 1, 1), padding=(1, 0, 0), groups=groups, bias=False
    )
