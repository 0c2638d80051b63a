"""SlowOnly for training on images and videos together (OmniSource: Duan et al., ECCV 2020)."""

from torch import Tensor, nn


class Bottleneck(nn.Module):
    """The block of SlowOnly with torchvision's names."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int, inflate: bool) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        kernel = 3 if inflate else 1
        self.conv1 = nn.Conv3d(
            in_channels, channels, (kernel, 1, 1), padding=(kernel // 2, 0, 0), bias=False
        )
        self.conv2 = nn.Conv3d(
            channels, channels, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False
        )
        self.conv3 = nn.Conv3d(channels, out_channels, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(channels)
        self.bn2 = nn.BatchNorm3d(channels)
        self.bn3 = nn.BatchNorm3d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv3d(in_channels, out_channels, 1, (1, stride, stride), bias=False),
                nn.BatchNorm3d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + identity)


class OmniResNet(nn.Module):
    """`ResNet3dSlowOnly` of depth 50 with the names of its published checkpoints."""

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        self.out_channels = 512 * Bottleneck.expansion
        self.conv1 = nn.Conv3d(in_channels, 64, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        self.layer1 = _stage(64, 64, 3, stride=1, inflate=False)
        self.layer2 = _stage(256, 128, 4, stride=2, inflate=False)
        self.layer3 = _stage(512, 256, 6, stride=2, inflate=True)
        self.layer4 = _stage(1024, 512, 3, stride=2, inflate=True)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, T, H, W) -> (B, 2048, T, H / 32, W / 32)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def _stage(
    in_channels: int, channels: int, num_blocks: int, stride: int, inflate: bool
) -> nn.Sequential:
    width = channels * Bottleneck.expansion
    blocks = [Bottleneck(in_channels, channels, stride, inflate)]
    blocks += [Bottleneck(width, channels, 1, inflate) for _ in range(num_blocks - 1)]
    return nn.Sequential(*blocks)
