"""The part of parity.py for detectors: FastRCNN on AVA and on MultiSports."""

from typing import Any

import torch
from torch import Tensor

from vidrec.models.detector import FastRCNN
from vidrec.models.heads.fbo import FBOHead

# Of a bank: seconds, features of each, their channels.
WINDOW, NUM_SAMPLED, CHANNELS = 60, 5, 2048


def batch_of(clips: Tensor, proposals: Tensor, num_classes: int) -> dict[str, Tensor]:
    """A `BoxBatch` of one clip (1, C, T, H, W) that is normalised already; no truth."""
    none = torch.zeros(0, dtype=torch.int64)
    height, width = clips.shape[-2:]
    return {
        "video": clips.movedim(1, -1)[:, None],
        "size": torch.tensor([[height, width]]),
        "boxes": proposals,
        "box_view": torch.zeros(len(proposals), dtype=torch.int64),
        "box_proposal": torch.arange(len(proposals)),
        "proposals": proposals / torch.tensor([width, height] * 2),
        "proposal_sample": torch.zeros(len(proposals), dtype=torch.int64),
        "gt_boxes": proposals[:0],
        "gt_sample": none,
        "gt_labels": torch.zeros(0, num_classes, dtype=proposals.dtype),
        "index": none,
    }


def with_bank(net: FastRCNN, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The figures are of a bank that has s % 4 features in second s, around the second 902."""
    if not isinstance(net.roi_head.shared_head, FBOHead):
        return batch
    seconds = [
        torch.randn(second % 4, CHANNELS, generator=torch.Generator().manual_seed(second))
        for second in range(902 - WINDOW // 2, 902 + WINDOW // 2)
    ]
    bank = torch.zeros(1, WINDOW, NUM_SAMPLED, CHANNELS, dtype=batch["video"].dtype)
    for place, features in enumerate(seconds):
        bank[0, place, : len(features)] = features
    return batch | {"bank": bank.flatten(1, 2)}


def prepare(net: FastRCNN) -> None:
    """The figures begin behind the normalisation."""
    net.scale.fill_(1)
    net.shift.fill_(0)


def evaluated(net: FastRCNN, golden: dict[str, Any]) -> dict[str, tuple[Tensor, Any]]:
    """Ours and the reference's: logits, scores and boxes of the golden proposals."""
    generator = torch.Generator().manual_seed(golden["input"]["seed"])
    clips = torch.randn(golden["input"]["shape"], generator=generator).double()
    proposals = torch.tensor(golden["proposals"], dtype=torch.float64)
    batch = with_bank(net, batch_of(clips, proposals, len(golden["cls_score"][0])))
    net.eval()
    with torch.no_grad():
        logits = net.roi_head(net.backbone(clips), proposals, batch["box_view"], batch.get("bank"))
        found = net.predict(batch)
    return {
        "cls_score": (logits, golden["cls_score"]),
        "pred_scores": (found["scores"], golden["pred_scores"]),
        "pred_bboxes": (found["proposals"], golden["pred_bboxes"]),
    }


def training_batch(net: FastRCNN, golden: dict[str, Any]) -> dict[str, Tensor]:
    """The step of the reference: its second and third proposal are the truth as well."""
    train = golden["train"]
    generator = torch.Generator().manual_seed(train["seed"])
    clips = torch.randn(train["input_shape"], generator=generator, dtype=torch.float64)
    proposals = torch.tensor(golden["proposals"], dtype=torch.float64)
    old, new = golden["input"]["shape"][-2:], train["input_shape"][-2:]
    proposals = proposals * torch.tensor([new[1] / old[1], new[0] / old[0]] * 2)
    num_classes = len(golden["cls_score"][0])
    batch = with_bank(net, batch_of(clips, proposals, num_classes))
    labels = torch.zeros(2, num_classes, dtype=torch.float64)
    labels[0, [3, 12]] = 1
    labels[1, 7] = 1
    return batch | {
        "gt_boxes": proposals[1:3],
        "gt_sample": torch.zeros(2, dtype=torch.int64),
        "gt_labels": labels,
    }
