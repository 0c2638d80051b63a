"""Head of Temporal Segment Networks (Wang et al., ECCV 2016)."""

from torch import Tensor, nn


class TSNHead(nn.Module):
    """Average over space and the frames of a clip, dropout, one linear layer.

    joint_views: in evaluation the views of a video are averaged as its frames are, before the
        softmax, as for published scores. The layer is linear, so averaging logits does the same.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        dropout_ratio: float = 0.4,
        init_std: float = 0.01,
        joint_views: bool = True,
    ) -> None:
        super().__init__()
        self.joint_views = joint_views
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc_cls = nn.Linear(in_channels, num_classes)
        nn.init.normal_(self.fc_cls.weight, std=init_std)
        nn.init.zeros_(self.fc_cls.bias)

    def forward(self, features: Tensor, num_frames: int) -> Tensor:
        """(B * num_frames, in_channels, h, w) -> (B, K)."""
        pooled = features.mean(dim=(2, 3)).unflatten(0, (-1, num_frames)).mean(dim=1)
        return self.fc_cls(self.dropout(pooled))
