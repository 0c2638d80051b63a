"""Spatio-temporal action detection: the only module of it that sees a batch."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from vidrec.data.boxes.batch import BoxBatch
from vidrec.models.assigner import MaxIoUAssigner, RandomSampler
from vidrec.models.heads.bbox_head import pool_box
from vidrec.models.heads.roi_head import RoIHead
from vidrec.models.normalise import Normalised


class FastRCNN(Normalised):
    """Actions in given boxes (Girshick, ICCV 2015; over clips: Gu et al., CVPR 2018, section 5).

    backbone: clips (B, C, T, H, W) -> a feature map, or those of several pathways.
    assigner, sampler: which boxes are learned from.
    mean, std: see `Normalised`.
    max_test_images: frames of one forward pass in `predict`, which bounds its memory. A clip is
        never divided.
    """

    def __init__(
        self,
        backbone: nn.Module,
        roi_head: RoIHead,
        assigner: MaxIoUAssigner,
        sampler: RandomSampler,
        mean: Sequence[float],
        std: Sequence[float],
        max_test_images: int = 128,
    ) -> None:
        super().__init__(mean, std)
        if max_test_images < 1:
            raise ValueError(f"max_test_images={max_test_images} is less than 1")
        self.backbone = backbone
        self.roi_head = roi_head
        self.assigner = assigner
        self.sampler = sampler
        self.max_test_images = max_test_images

    def forward(self, batch: BoxBatch) -> dict[str, Tensor]:
        """`logits` (S, K) of the boxes that are learned from and their `labels` (S, K), 0 or 1.

        Background boxes have no label at all. Raises ValueError on clips with several views.
        """
        num_views = batch["video"].shape[1]
        if num_views != 1:
            raise ValueError(
                f"the clips to learn from have {num_views} views, their true boxes are those of "
                "the first: leave steps that cut views, such as ThreeCrop, out of "
                "data.transforms.train"
            )
        boxes, samples, given = self._boxes_to_learn(batch)
        features = self.backbone(self._clips(batch["video"]))
        logits = self.roi_head(features, boxes, samples, batch.get("bank"))
        labels = batch["gt_labels"].new_zeros(len(boxes), logits.shape[1])
        if len(batch["gt_boxes"]):
            true = batch["gt_labels"][given.clamp(min=0)]
            labels = torch.where((given >= 0)[:, None], true, labels)
        return {"logits": logits, "labels": labels}

    def _boxes_to_learn(self, batch: BoxBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (S, 4), their samples (S,) and the rows of the truth that they got (S,)."""
        boxes, samples = batch["boxes"], batch["box_view"]
        truth, truth_samples = batch["gt_boxes"], batch["gt_sample"]
        given = self.assigner(boxes, samples, truth, truth_samples)
        if self.sampler.add_gt_as_proposals:
            boxes, samples = torch.cat([truth, boxes]), torch.cat([truth_samples, samples])
            own = torch.arange(len(truth), device=given.device)
            given = torch.cat([own, given])
        rows = self.sampler(given, samples, len(batch["video"]))
        # There may be none at all: then the head runs on no rows, and its gradients are zeros.
        return boxes[rows], samples[rows], given[rows]

    def _clips(self, video: Tensor) -> Tensor:
        """(N, V, T, H, W, C) -> normalised (N * V, C, T, H, W)."""
        return self.normalise(video).flatten(0, 1).transpose(1, 2)

    @torch.no_grad()
    def predict(self, batch: BoxBatch) -> dict[str, Tensor]:
        """`scores` (P, K) float32 of `proposals` (P, 4), shares of the frame; `sample` (P,) int64.

        A proposal that several views show has the mean of their scores; one that no view shows is
        left out.
        """
        logits = self._in_groups(batch, self.roi_head)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        scores = self.roi_head.bbox_head.scores(logits)
        num_proposals = len(batch["proposals"])
        total = scores.new_zeros(num_proposals, scores.shape[1])
        total.index_add_(0, batch["box_proposal"], scores)
        times = torch.bincount(batch["box_proposal"], minlength=num_proposals)
        shown = times > 0
        return {
            "scores": total[shown] / times[shown, None],
            "proposals": batch["proposals"][shown],
            "sample": batch["proposal_sample"][shown],
        }

    @torch.no_grad()
    def features(self, batch: BoxBatch) -> Tensor:
        """What a bank keeps of each box (R, C): its features, mean over time, maximum over space.

        Wu et al., CVPR 2019, section 3.2.
        """

        def pooled(features: Tensor, boxes: Tensor, views: Tensor, bank: Tensor | None) -> Tensor:
            return pool_box(self.roi_head.bbox_roi_extractor(features, boxes, views)[0])

        return self._in_groups(batch, pooled)

    def _in_groups(self, batch: BoxBatch, head: Callable[..., Tensor]) -> Tensor:
        """What `head` makes of every box (R, ...), clip by clip as if each were alone.

        Clips of one size run together, without the padding that a batch of several sizes has.
        """
        num_samples, num_views, num_frames = batch["video"].shape[:3]
        box_samples = batch["box_view"] // num_views
        box_views = batch["box_view"] % num_views
        at_once = max(1, self.max_test_images // (num_frames * num_views))
        sizes = batch["size"].tolist()
        parts, rows = [], []
        for height, width in sorted({(height, width) for height, width in sizes}):
            same = [i for i in range(num_samples) if sizes[i] == [height, width]]
            for start in range(0, len(same), at_once):
                samples = torch.tensor(same[start : start + at_once], device=box_samples.device)
                clips = self._clips(batch["video"][samples, :, :, :height, :width])
                place = torch.full((num_samples,), -1, device=samples.device)
                place[samples] = torch.arange(len(samples), device=samples.device)
                own = (place[box_samples] >= 0).nonzero()[:, 0]
                views = place[box_samples[own]] * num_views + box_views[own]
                bank = batch.get("bank")
                if bank is not None:
                    bank = bank[samples].repeat_interleave(num_views, dim=0)
                parts.append(head(self.backbone(clips), batch["boxes"][own], views, bank))
                rows.append(own)
        order = torch.cat(rows).argsort()
        return torch.cat(parts)[order]
