"""From the feature maps of clips to the actions in boxes."""

from collections.abc import Sequence

from torch import Tensor, nn

from vidrec.models.heads.bbox_head import BBoxHead
from vidrec.models.heads.roi_extractor import SingleRoIExtractor3D


class RoIHead(nn.Module):
    """Extracts the features of boxes and classifies them.

    shared_head: called in between as `shared_head(features, joined map, views, bank)`; relates the
        boxes to the scene or to a bank of features.
    """

    def __init__(
        self,
        bbox_roi_extractor: SingleRoIExtractor3D,
        bbox_head: BBoxHead,
        shared_head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.bbox_roi_extractor = bbox_roi_extractor
        self.bbox_head = bbox_head
        self.shared_head = shared_head

    def forward(
        self,
        features: Tensor | Sequence[Tensor],
        boxes: Tensor,
        views: Tensor,
        bank: Tensor | None = None,
    ) -> Tensor:
        """Logits (R, K) of boxes (R, 4), in pixels.

        features: one or several maps (B, C, T, h, w). views: (R,), the view of each box. bank:
        (B, L, D), of all views.
        """
        x, joined = self.bbox_roi_extractor(features, boxes, views)
        if self.shared_head is not None:
            x = self.shared_head(x, joined, views, bank)
        return self.bbox_head(x)
