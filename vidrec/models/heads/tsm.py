"""Head of networks that mix frames in the backbone: TSM, TIN, TANet."""

from torch import Tensor

from vidrec.models.heads.linear import LinearHead


class TSMHead(LinearHead):
    """Scores every frame on its own and averages the scores over the frames of a clip.

    Without dropout it equals `TSNHead`; in training every frame has a dropout mask of its own.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        dropout_ratio: float = 0.8,
        init_std: float = 0.001,
    ) -> None:
        super().__init__(num_classes, in_channels, dropout_ratio, init_std)

    def forward(self, features: Tensor, num_frames: int) -> Tensor:
        """(B * num_frames, in_channels, h, w) -> (B, K)."""
        scores = self.classify(features.mean(dim=(2, 3)))
        return scores.unflatten(0, (-1, num_frames)).mean(dim=1)
