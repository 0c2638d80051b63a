"""C2D, the baseline of non-local networks (Wang et al., CVPR 2018, table 1)."""

from typing import Unpack

import torch
from torch import Tensor, nn

from vidrec.models.backbones.resnet import ResNet, ResNetOptions


class C2D(ResNet):
    """`ResNet` over the frames of a clip, with max pooling over pairs of frames after stage one."""

    def __init__(self, depth: int, **options: Unpack[ResNetOptions]) -> None:
        super().__init__(depth, **options)
        self.maxpool = nn.MaxPool2d(3, stride=2)  # without padding, unlike in other ResNets

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """(B, in_channels, T, H, W) -> (B, out_channels, T // 2, h, w); a tuple for several."""
        batch = len(x)
        x = self.maxpool(self.conv1(x.transpose(1, 2).flatten(0, 1)))
        maps = []
        for index in range(len(self.stages())):
            x = self.stage(index, x)
            if index == 0:
                x = x.unflatten(0, (batch, -1))
                even = x.shape[1] // 2 * 2
                x = torch.maximum(x[:, 0:even:2], x[:, 1:even:2]).flatten(0, 1)
            if index in self.out_indices:
                maps.append(x.unflatten(0, (batch, -1)).transpose(1, 2))
        return maps[0] if len(maps) == 1 else tuple(maps)
