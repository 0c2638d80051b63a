"""From the feature maps of clips to the actions in their boxes."""

from collections.abc import Sequence

from torch import Tensor, nn

from vidrec.models.heads.bbox_head import BBoxHead
from vidrec.models.heads.roi_extractor import SingleRoIExtractor3D


class RoIHead(nn.Module):
    """Cuts boxes from the maps, may relate them to the scene or to a bank, and classifies them.

    shared_head: `shared_head(features, joined map, views, bank)`, between the two.
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
        """Logits (R, K) of boxes (R, 4) in pixels of the clips `views` (R,).

        features: maps (B, C, T, h, w), one or several. bank: (B, L, D) of the clips.
        """
        x, joined = self.bbox_roi_extractor(features, boxes, views)
        if self.shared_head is not None:
            x = self.shared_head(x, joined, views, bank)
        return self.bbox_head(x)
