"""C3D (Tran et al., ICCV 2015): eight 3x3x3 convolutions and two linear layers."""

from torch import Tensor, nn


class ConvReLU(nn.Module):
    """A 3x3x3 convolution and ReLU, named as in published checkpoints."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_channels, out_channels, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, out, T, H, W)."""
        return self.relu(self.conv(x))


class C3D(nn.Module):
    """Clips of 16 frames of 112 x 112 pixels to a vector of 4096 (figure 3).

    dropout_ratio: between the linear layers; the head has a dropout of its own after them.
    init_std: standard deviation of the linear layers' initial weights.
    out_dim: size of the last map, flattened: 8192 for such clips.
    """

    def __init__(
        self,
        in_channels: int = 3,
        dropout_ratio: float = 0.5,
        init_std: float = 0.005,
        out_dim: int = 8192,
    ) -> None:
        super().__init__()
        self.out_channels = 4096
        self.conv1a = ConvReLU(in_channels, 64)
        self.pool1 = nn.MaxPool3d((1, 2, 2))
        self.conv2a = ConvReLU(64, 128)
        self.pool2 = nn.MaxPool3d(2)
        self.conv3a = ConvReLU(128, 256)
        self.conv3b = ConvReLU(256, 256)
        self.pool3 = nn.MaxPool3d(2)
        self.conv4a = ConvReLU(256, 512)
        self.conv4b = ConvReLU(512, 512)
        self.pool4 = nn.MaxPool3d(2)
        self.conv5a = ConvReLU(512, 512)
        self.conv5b = ConvReLU(512, 512)
        self.pool5 = nn.MaxPool3d(2, padding=(0, 1, 1))
        self.fc6 = nn.Linear(out_dim, self.out_channels)
        self.fc7 = nn.Linear(self.out_channels, self.out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout_ratio)
        for layer in (self.fc6, self.fc7):
            nn.init.normal_(layer.weight, std=init_std)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, 16, 112, 112) -> (B, 4096, 1, 1, 1): a map with one position."""
        x = self.pool1(self.conv1a(x))
        x = self.pool2(self.conv2a(x))
        x = self.pool3(self.conv3b(self.conv3a(x)))
        x = self.pool4(self.conv4b(self.conv4a(x)))
        x = self.pool5(self.conv5b(self.conv5a(x)))
        x = self.dropout(self.relu(self.fc6(x.flatten(1))))
        return self.relu(self.fc7(x))[:, :, None, None, None]
