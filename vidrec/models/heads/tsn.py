"""Head of Temporal Segment Networks (Wang et al., ECCV 2016)."""

from torch import Tensor

from vidrec.models.heads.linear import LinearHead


class TSNHead(LinearHead):
    """Average over space and the frames of a clip, dropout, one linear layer.

    joint_views: in evaluation, average the views of a video like its frames, before the softmax, as
        for published scores. The layer is linear, so averaging logits is the same.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        dropout_ratio: float = 0.4,
        init_std: float = 0.01,
        joint_views: bool = True,
    ) -> None:
        super().__init__(num_classes, in_channels, dropout_ratio, init_std)
        self.joint_views = joint_views

    def forward(self, features: Tensor, num_frames: int) -> Tensor:
        """(B * num_frames, in_channels, h, w) -> (B, K)."""
        pooled = features.mean(dim=(2, 3)).unflatten(0, (-1, num_frames)).mean(dim=1)
        return self.classify(pooled)
