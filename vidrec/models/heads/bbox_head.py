"""Classification of the actions in boxes from their features."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Pooling = Literal["avg", "max"]


class BBoxHead(nn.Module):
    """Pools the features of a box and classifies them (Feichtenhofer et al., ICCV 2019, section 5).

    num_classes: number of columns, including the background if there is one.
    background_class: column 0 is the background.
    temporal_pool_type, spatial_pool_type: `avg` or `max`; time is pooled first.
    dropout_ratio: of the features, before or, with dropout_before_pool=false, after pooling.
    mlp_head: whether a hidden layer precedes the classifier.
    multilabel: several actions at once (sigmoid), else one of them (softmax).
    """

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        in_channels: int,
        num_classes: int,
        background_class: bool,
        temporal_pool_type: Pooling = "avg",
        spatial_pool_type: Pooling = "max",
        dropout_ratio: float = 0.0,
        dropout_before_pool: bool = True,
        mlp_head: bool = False,
        multilabel: bool = True,
    ) -> None:
        super().__init__()
        check_pooling(temporal_pool_type=temporal_pool_type, spatial_pool_type=spatial_pool_type)
        self.in_channels = in_channels
        self.background_class = background_class
        self.temporal_pool_type = temporal_pool_type
        self.spatial_pool_type = spatial_pool_type
        self.dropout_before_pool = dropout_before_pool
        self.multilabel = multilabel
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc_cls: nn.Module = _linear(in_channels, num_classes)
        if mlp_head:
            hidden = _linear(in_channels, in_channels)
            self.fc_cls = nn.Sequential(hidden, nn.ReLU(), self.fc_cls)

    def forward(self, x: Tensor) -> Tensor:
        """(R, in_channels, t, s, s) -> logits (R, num_classes).

        Raises ValueError if the features have other channels.
        """
        if x.shape[1] != self.in_channels:
            raise ValueError(
                f"the features of a box have {x.shape[1]} channels: set "
                f"model.net.roi_head.bbox_head.in_channels={x.shape[1]} (it is {self.in_channels})"
            )
        if self.dropout_before_pool:
            x = self.dropout(x)
        x = pool_box(x, self.temporal_pool_type, self.spatial_pool_type)
        if not self.dropout_before_pool:
            x = self.dropout(x)
        return self.fc_cls(x)

    def scores(self, logits: Tensor) -> Tensor:
        """Probabilities (R, num_classes); with softmax that of the background is 0."""
        if self.multilabel:
            return logits.sigmoid()
        first = int(self.background_class)
        return F.pad(logits[:, first:].softmax(dim=-1), (first, 0))


def _linear(in_channels: int, out_channels: int) -> nn.Linear:
    layer = nn.Linear(in_channels, out_channels)
    nn.init.xavier_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def check_pooling(**modes: str) -> None:
    """Raises ValueError if an argument is neither avg nor max."""
    for name, mode in modes.items():
        if mode not in ("avg", "max"):
            raise ValueError(f"{name}='{mode}' is neither avg nor max")


def pool_box(x: Tensor, temporal: Pooling = "avg", spatial: Pooling = "max") -> Tensor:
    """Pools the features of boxes over time, then space: (R, C, t, s, s) -> (R, C)."""
    x = x.mean(dim=2) if temporal == "avg" else x.amax(dim=2)
    return x.mean(dim=(2, 3)) if spatial == "avg" else torch.amax(x, dim=(2, 3))
