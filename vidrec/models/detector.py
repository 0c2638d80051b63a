"""Spatio-temporal action detection: the detector takes a batch, its parts take tensors."""

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

    backbone: clips (B, C, T, H, W) -> a feature map, or one per pathway.
    assigner, sampler: which boxes the detector is trained on.
    mean, std: see `Normalised`.
    max_test_images: frames per forward pass in `predict`, which bounds its memory; clips are never
        split.
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
        """`logits` (S, K) of the boxes to train on and their `labels` (S, K), 0 or 1.

        `annotated` (S,) bool: those that match an annotated person, who may do nothing. Background
        boxes have no label at all. Raises ValueError if clips have several views.
        """
        num_views = batch["video"].shape[1]
        if num_views != 1:
            raise ValueError(
                f"training clips have {num_views} views, but ground-truth boxes are given for the "
                "first view only: remove steps that cut views, such as ThreeCrop, from "
                "data.transforms.train"
            )
        boxes, samples, assigned = self._training_boxes(batch)
        features = self.backbone(self._clips(batch["video"]))
        logits = self.roi_head(features, boxes, samples, batch.get("bank"))
        labels = batch["gt_labels"].new_zeros(len(boxes), logits.shape[1])
        if len(batch["gt_boxes"]):
            matched = batch["gt_labels"][assigned.clamp(min=0)]
            labels = torch.where((assigned >= 0)[:, None], matched, labels)
        return {"logits": logits, "labels": labels, "annotated": assigned >= 0}

    def _training_boxes(self, batch: BoxBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (S, 4), their samples (S,) and the ground-truth rows assigned to them (S,)."""
        boxes, samples = batch["boxes"], batch["box_view"]
        gt_boxes, gt_samples = batch["gt_boxes"], batch["gt_sample"]
        assigned = self.assigner(boxes, samples, gt_boxes, gt_samples)
        if self.sampler.add_gt_as_proposals:
            boxes, samples = torch.cat([gt_boxes, boxes]), torch.cat([gt_samples, samples])
            own = torch.arange(len(gt_boxes), device=assigned.device)
            assigned = torch.cat([own, assigned])
        rows = self.sampler(assigned, samples, len(batch["video"]))
        # There may be no box at all: then the head runs on zero rows, and its gradients are zero.
        return boxes[rows], samples[rows], assigned[rows]

    def _clips(self, video: Tensor) -> Tensor:
        """(N, V, T, H, W, C) -> normalised (N * V, C, T, H, W)."""
        return self.normalise(video).flatten(0, 1).transpose(1, 2)

    @torch.no_grad()
    def predict(self, batch: BoxBatch) -> dict[str, Tensor]:
        """`scores` (P, K) float32 of `proposals` (P, 4) in [0, 1]; their `sample` (P,) int64.

        Scores are averaged over the views that contain a proposal; proposals outside all views are
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
        """Features of each box for a bank (R, C): mean over time, maximum over space.

        Wu et al., CVPR 2019, section 3.2.
        """

        def pooled(features: Tensor, boxes: Tensor, views: Tensor, bank: Tensor | None) -> Tensor:
            return pool_box(self.roi_head.bbox_roi_extractor(features, boxes, views)[0])

        return self._in_groups(batch, pooled)

    def _in_groups(self, batch: BoxBatch, head: Callable[..., Tensor]) -> Tensor:
        """The output of `head` for every box (R, ...), as if each clip were the only one.

        Clips of one size run together, without the padding of a batch with several sizes.
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
