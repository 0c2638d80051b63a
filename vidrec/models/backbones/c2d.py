"""C2D, the baseline of non-local networks (Wang et al., CVPR 2018, table 1)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidrec.models.backbones.resnet import ResNet
from vidrec.models.layers.checkpoint import checkpointed


class C2D(ResNet):
    """`ResNet` over the frames of a clip; after the first stage pairs of them become one."""

    def __init__(
        self,
        depth: int,
        in_channels: int = 3,
        out_indices: Sequence[int] | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        checkpoint_stages: Sequence[int] = (),
    ) -> None:
        super().__init__(
            depth,
            in_channels,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            checkpoint_stages=checkpoint_stages,
        )
        self.maxpool = nn.MaxPool2d(3, stride=2)  # without padding, unlike in other ResNets

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """(B, in_channels, T, H, W) -> (B, out_channels, T // 2, h, w); a tuple for several."""
        batch = len(x)
        x = self.maxpool(self.conv1(x.transpose(1, 2).flatten(0, 1)))
        maps = []
        for index, stage in enumerate(self.stages()):
            keep = self.training and index + 1 in self.checkpoint_stages
            for block in stage:
                x = checkpointed(block, x) if keep else block(x)
            if index == 0:
                x = x.unflatten(0, (batch, -1))
                even = x.shape[1] // 2 * 2
                x = torch.maximum(x[:, 0:even:2], x[:, 1:even:2]).flatten(0, 1)
            if index in self.out_indices:
                maps.append(x.unflatten(0, (batch, -1)).transpose(1, 2))
        return maps[0] if len(maps) == 1 else tuple(maps)
