"""Features of boxes from the feature maps of a clip."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from vidrec.models.heads.bbox_head import Pooling, check_pooling


class SingleRoIExtractor3D(nn.Module):
    """RoIAlign (He et al., ICCV 2017, section 3) of every frame of a feature map.

    output_size: cells per side of a box.
    featmap_stride: stride of the feature map, in pixels.
    sampling_ratio: sampling points per side of a cell; 0: as many as the size of the box requires.
    pool_mode: `avg` or `max` over these points.
    aligned: shift by half a pixel, so that pixel centres are aligned.
    with_temporal_pool: pool the map over time first, by `temporal_pool_mode` (`avg` or `max`).
    with_global: concatenate the pooled map of the whole frame to the features of each box.
    """

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        output_size: int = 16,
        featmap_stride: int = 16,
        sampling_ratio: int = 0,
        pool_mode: Pooling = "avg",
        aligned: bool = True,
        with_temporal_pool: bool = True,
        temporal_pool_mode: Pooling = "avg",
        with_global: bool = False,
    ) -> None:
        super().__init__()
        check_pooling(pool_mode=pool_mode, temporal_pool_mode=temporal_pool_mode)
        self.output_size = output_size
        self.featmap_stride = featmap_stride
        self.sampling_ratio = sampling_ratio
        self.pool_mode = pool_mode
        self.aligned = aligned
        self.with_temporal_pool = with_temporal_pool
        self.temporal_pool_mode = temporal_pool_mode
        self.with_global = with_global

    def forward(
        self, features: Tensor | Sequence[Tensor], boxes: Tensor, views: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Features (R, C, t, s, s) of the boxes, and the concatenated map (B, C, t, h, w).

        features: a map (B, C, T, h, w), or one per pathway, whose channels are concatenated.
        boxes: (R, 4), in pixels. views: (R,), the view of each box. With global features the boxes
        have 2 C channels.
        """
        maps = [features] if isinstance(features, Tensor) else list(features)
        if self.with_temporal_pool:
            maps = [self._pool_time(x) for x in maps]
        elif len(maps) > 1:
            longest = max(x.shape[2] for x in maps)
            maps = [F.interpolate(x, (longest, *maps[0].shape[3:])) for x in maps]
        joined = torch.cat(maps, dim=1)
        rois = torch.cat([views[:, None].to(boxes.dtype), boxes], dim=1)
        frames = []
        for frame in joined.unbind(dim=2):
            cut = self.align(frame, rois)
            if self.with_global:
                whole = F.adaptive_avg_pool2d(frame, self.output_size)[views]
                cut = torch.cat([cut, whole], dim=1)
            frames.append(cut)
        return torch.stack(frames, dim=2), joined

    def _pool_time(self, x: Tensor) -> Tensor:
        if self.temporal_pool_mode == "avg":
            return x.mean(dim=2, keepdim=True)
        return x.amax(dim=2, keepdim=True)

    def align(self, frame: Tensor, rois: Tensor) -> Tensor:
        """A map (B, C, h, w) and boxes (R, 5): view, x1, y1, x2, y2 -> (R, C, s, s)."""
        # In half precision a box at pixel 300 would be off by a pixel.
        kind, exact = frame.dtype, torch.promote_types(frame.dtype, torch.float32)
        frame, rois = frame.to(exact), rois.to(exact)
        scale, size = 1 / self.featmap_stride, self.output_size
        if self.pool_mode == "avg":
            ratio = self.sampling_ratio or -1
            return roi_align(frame, rois, size, scale, ratio, self.aligned).to(kind)
        points = torch.full_like(rois[:, :2], self.sampling_ratio).long()
        if self.sampling_ratio == 0:
            edges = (rois[:, 3:] - rois[:, 1:3]) * scale
            points = (edges / size).ceil().long().clamp(min=1)
        out = frame.new_zeros(len(rois), frame.shape[1], size, size)
        # The sampling points are the cells of a finer grid with one point per cell.
        for across, down in points.unique(dim=0).tolist():
            rows = (points == points.new_tensor([across, down])).all(dim=1).nonzero()[:, 0]
            fine = roi_align(
                frame, rois[rows], (size * down, size * across), scale, 1, self.aligned
            )
            out = out.index_copy(0, rows, F.max_pool2d(fine, (down, across)))
        return out.to(kind)
