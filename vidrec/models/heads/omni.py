"""Head of networks trained on images and videos together (OmniSource: Duan et al., ECCV 2020)."""

from torch import Tensor, nn


class OmniHead(nn.Module):
    """A hidden layer and a classifier for videos.

    The classifier for images, `fc2d`, exists because published checkpoints have it; it is not
    trained.
    """

    def __init__(
        self,
        video_classes: int,
        in_channels: int,
        image_classes: int = 1000,
        hidden_channels: int = 800,
        image_dropout_ratio: float = 0.2,
        video_dropout_ratio: float = 0.5,
    ) -> None:
        super().__init__()
        self.fc2d = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(1),
            nn.BatchNorm1d(in_channels),
            nn.Dropout(image_dropout_ratio),
            nn.Linear(in_channels, image_classes),
        ).requires_grad_(False)
        self.fc3d = nn.Sequential(
            nn.AdaptiveAvgPool3d(1),
            nn.Flatten(1),
            nn.Linear(in_channels, hidden_channels),
            nn.BatchNorm1d(hidden_channels),
            nn.ReLU(inplace=True),
            nn.Dropout(video_dropout_ratio),
            nn.Linear(hidden_channels, video_classes),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels, T, h, w) -> (B, K)."""
        return self.fc3d(features)
