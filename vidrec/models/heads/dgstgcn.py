"""The classifier of DG-STGCN."""

from torch import Tensor, nn


class DGSTGCNHead(nn.Module):
    """`GCNHead` under the published names of its weights.

    (B, M, C, T, J) -> logits (B, num_classes).
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        dropout_ratio: float = 0.0,
        init_std: float = 0.01,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc_cls = nn.Linear(in_channels, num_classes)
        nn.init.normal_(self.fc_cls.weight, std=init_std)
        nn.init.zeros_(self.fc_cls.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc_cls(self.dropout(x.mean(dim=(3, 4)).mean(dim=1)))
