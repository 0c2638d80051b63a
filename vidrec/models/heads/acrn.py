"""Relations between an actor and the surrounding scene."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidrec.models.layers.conv3d import ConvBN3d


class ACRNHead(nn.Module):
    """Actor-Centric Relation Network (Sun et al., ECCV 2018, section 3.2).

    The actor's features are concatenated to every position of the map, then convolved.

    in_channels: of actor and map together. stride, num_convs, kernel_size: of the convolutions
        after the first, which is 1x1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        num_convs: int = 1,
        kernel_size: int = 3,
    ) -> None:
        super().__init__()
        if in_channels % 2:
            raise ValueError(f"in_channels={in_channels} is odd: half of them are the map's")
        if num_convs < 1:
            raise ValueError(f"num_convs={num_convs} is less than 1")
        self.in_channels = in_channels
        self.conv1 = ConvBN3d(in_channels, out_channels)
        size, step = (1, kernel_size, kernel_size), (1, stride, stride)
        self.conv2 = ConvBN3d(out_channels, out_channels, size, step)
        self.convs = nn.ModuleList(
            ConvBN3d(out_channels, out_channels, size) for _ in range(num_convs - 1)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor, joined: Tensor, views: Tensor, bank: Tensor | None) -> Tensor:
        """Features (R, C, t, s, s) of boxes, and the maps `joined` (B, C, 1, h, w) of all views.

        views: (R,), the view of each box. Returns (R, out_channels, 1, h, w). Raises ValueError if
        actor and map do not have in_channels / 2 each.
        """
        channels = [x.shape[1], joined.shape[1]]
        if channels != [self.in_channels // 2] * 2:
            raise ValueError(
                f"actor and map have {channels[0]} and {channels[1]} channels, "
                f"model.net.roi_head.shared_head.in_channels={self.in_channels} is for "
                f"{self.in_channels // 2} each (with_global doubles the actor's)"
            )
        # A 1x1 convolution over concatenated channels is the sum of two: that of the actor is the
        # same at every position, that of the map is the same for all actors of a clip.
        convolution = self.conv1.conv
        assert isinstance(convolution, nn.Conv3d)
        actor_weight, map_weight = convolution.weight.chunk(2, dim=1)
        actor = F.conv3d(x.amax(dim=(2, 3, 4), keepdim=True), actor_weight)
        scene = F.conv3d(joined, map_weight)[views]
        x = torch.relu(self.conv1.bn(actor + scene))
        x = self.conv2(x)
        for conv in self.convs:
            x = conv(x)
        return x
