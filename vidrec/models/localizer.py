"""Temporal action localization: networks over feature sequences, which take whole batches.

Parameters are named as in published checkpoints, which do not separate a backbone from a head.
"""

from typing import TypedDict, Unpack

import torch
from torch import Tensor, nn

from vidrec.data.segments.batch import FeatureBatch, ProposalBatch
from vidrec.models.layers.boundary_matching import BoundaryMatching
from vidrec.ops.boundary_candidates import bmn_candidates, tem_candidates
from vidrec.ops.soft_nms import Candidates, Proposals, soft_nms


class SoftNMSOptions(TypedDict, total=False):
    """Arguments of `SoftNMS`, which localizers take under the same names."""

    soft_nms_alpha: float
    soft_nms_low_threshold: float
    soft_nms_high_threshold: float
    post_process_top_k: int


class SoftNMS:
    """Candidates to the proposals that are returned; by default as in BSN.

    soft_nms_alpha, soft_nms_low_threshold, soft_nms_high_threshold: see `soft_nms`.
    post_process_top_k: proposals of a video.
    """

    def __init__(
        self,
        soft_nms_alpha: float = 0.75,
        soft_nms_low_threshold: float = 0.65,
        soft_nms_high_threshold: float = 0.9,
        post_process_top_k: int = 100,
    ) -> None:
        if soft_nms_alpha <= 0:
            raise ValueError(f"soft_nms_alpha={soft_nms_alpha} must be above 0")
        if post_process_top_k < 1:
            raise ValueError(f"post_process_top_k={post_process_top_k} must be at least 1")
        self.alpha = soft_nms_alpha
        self.low_threshold = soft_nms_low_threshold
        self.high_threshold = soft_nms_high_threshold
        self.top_k = post_process_top_k

    def __call__(
        self, candidates: Candidates, batch: FeatureBatch | ProposalBatch
    ) -> dict[str, Tensor]:
        """`segments` (N, K, 2) in seconds of the videos, `scores` (N, K), `count` (N,)."""
        found = soft_nms(
            candidates, self.alpha, self.low_threshold, self.high_threshold, self.top_k
        )
        if "video_end" in batch:
            return in_seconds(found, batch["window"], batch["video_end"])
        return in_seconds(found, batch["window"])


def in_seconds(
    found: Proposals, window: Tensor, video_end: Tensor | None = None
) -> dict[str, Tensor]:
    """Proposals in seconds of the videos, clipped to the sequence and to the video.

    window: (N, 2), where the sequence begins and how long it lasts, in seconds. video_end: (N,).
    """
    begin, seconds = window.to(found.segments.device).double()[:, None, None].unbind(-1)
    segments = begin + found.segments.clamp(0, 1) * seconds
    if video_end is not None:
        segments = segments.minimum(video_end.to(segments)[:, None, None])
    return {"segments": segments, "scores": found.scores, "count": found.counts}


def num_real(batch: FeatureBatch) -> Tensor | None:
    """How many positions of each sequence begin before the end of its video, (N,) int64.

    None if the batch has no padding.
    """
    if "video_end" not in batch:
        return None
    length = batch["feature"].shape[2]
    begin, seconds = batch["window"].unbind(1)
    # Rounding must not make a position of nothing.
    positions = (batch["video_end"] - begin) / seconds * length - 1e-6
    return positions.ceil().clamp(0, length).long()


class BMN(nn.Module):
    """Boundary-Matching Network (Lin et al., ICCV 2019).

    A base over the sequence, two boundary probabilities (temporal evaluation), and a map of
    confidences over all proposals (proposal evaluation), by duration and start.

    temporal_dim: length T of the sequence.
    feat_dim: channels of a feature.
    boundary_ratio: fraction of its length by which a proposal is extended at each end before
        `num_samples` bins of `num_samples_per_bin` points are sampled in it.
    hidden_dim_1d, hidden_dim_2d, hidden_dim_3d: channels over the sequence, over the map of
        proposals, and over the points sampled in each.
    nms: see `SoftNMS`; by default alpha is 0.4 and the lower threshold 0.5.
    """

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        temporal_dim: int,
        feat_dim: int,
        boundary_ratio: float = 0.5,
        num_samples: int = 32,
        num_samples_per_bin: int = 3,
        hidden_dim_1d: int = 256,
        hidden_dim_2d: int = 128,
        hidden_dim_3d: int = 512,
        **nms: Unpack[SoftNMSOptions],
    ) -> None:
        super().__init__()
        if feat_dim % 4:
            raise ValueError(
                f"feat_dim={feat_dim} is not a multiple of 4, the groups of BMN's base"
            )
        self.temporal_dim = temporal_dim
        defaults = SoftNMSOptions(soft_nms_alpha=0.4, soft_nms_low_threshold=0.5)
        self.nms = SoftNMS(**(defaults | nms))
        wide, narrow, cells = hidden_dim_1d, hidden_dim_2d, hidden_dim_3d
        self.x_1d_b = nn.Sequential(
            nn.Conv1d(feat_dim, wide, 3, padding=1, groups=4),
            nn.ReLU(),
            nn.Conv1d(wide, wide, 3, padding=1, groups=4),
            nn.ReLU(),
        )
        self.x_1d_s = _boundary(wide)
        self.x_1d_e = _boundary(wide)
        self.x_1d_p = nn.Sequential(nn.Conv1d(wide, wide, 3, padding=1), nn.ReLU())
        self.matching = BoundaryMatching(
            temporal_dim, num_samples, num_samples_per_bin, boundary_ratio
        )
        # Its weights are used by `matching`, which applies them before sampling.
        self.x_3d_p = nn.Sequential(nn.Conv3d(wide, cells, (num_samples, 1, 1)), nn.ReLU())
        self.x_2d_p = nn.Sequential(
            nn.Conv2d(cells, narrow, 1),
            nn.ReLU(),
            nn.Conv2d(narrow, narrow, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(narrow, narrow, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(narrow, 2, 1),
        )

    def forward(self, batch: FeatureBatch) -> dict[str, Tensor]:
        """`start`, `end` (N, T) and `iou_map` (N, 2, D, T), all in [0, 1].

        Row d of the map is for proposals of d + 1 positions; one channel is trained by regression,
        the other by classification.
        """
        feature = batch["feature"].to(next(self.parameters()).dtype)
        if feature.shape[2] != self.temporal_dim:
            raise ValueError(
                f"features of length {feature.shape[2]}, but model.net.temporal_dim="
                f"{self.temporal_dim}: data.resize=true resizes them"
            )
        base = self.x_1d_b(feature)
        return {
            "start": _probability(self.x_1d_s(base).squeeze(1)),
            "end": _probability(self.x_1d_e(base).squeeze(1)),
            "iou_map": _probability(self.confidence(self.x_1d_p(base))),
        }

    def confidence(self, features: Tensor) -> Tensor:
        """(N, C, T) -> logits (N, 2, D, T)."""
        matched, activate = self.x_3d_p
        first, *rest = self.x_2d_p
        assert isinstance(matched, nn.Conv3d)
        assert isinstance(first, nn.Conv2d)
        # Proposals beyond the end sample nothing, so that their cells follow from the biases alone.
        # 3x3 convolutions see these cells; 1x1 ones need not be computed for them.
        kernel, bias = first.weight.flatten(1), first.bias
        cells = activate(self.matching(features, matched.weight, matched.bias))
        empty = activate(matched.bias)
        x = self.matching.spread(
            nn.functional.linear(cells, kernel, bias), nn.functional.linear(empty, kernel, bias)
        )
        for layer in rest:
            x = layer(x)
        return x

    @torch.no_grad()
    def predict(self, batch: FeatureBatch) -> dict[str, Tensor]:
        """`segments` (N, K, 2) in seconds, `scores` (N, K), `count` (N,)."""
        out = self(batch)
        return self.nms(
            bmn_candidates(out["start"], out["end"], out["iou_map"], num_real(batch)), batch
        )


def _boundary(channels: int) -> nn.Sequential:
    """Logits of a start or an end at every position."""
    return nn.Sequential(
        nn.Conv1d(channels, channels, 3, padding=1, groups=4), nn.ReLU(), nn.Conv1d(channels, 1, 1)
    )


def _probability(logits: Tensor) -> Tensor:
    """Sigmoid in float32 or better: half precision cannot express probabilities close to 1."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).sigmoid()


class TEM(nn.Module):
    """Temporal Evaluation Module of BSN (Lin et al., ECCV 2018, section 3.3).

    Probabilities of an action, a start and an end at every position. As in the published network,
    the output of the last layer is multiplied by 0.01.

    nms: see `SoftNMS`.
    """

    def __init__(
        self,
        temporal_dim: int,
        tem_feat_dim: int,
        tem_hidden_dim: int = 512,
        peak_threshold: float = 0.5,
        **nms: Unpack[SoftNMSOptions],
    ) -> None:
        super().__init__()
        self.temporal_dim = temporal_dim
        self.peak_threshold = peak_threshold
        self.nms = SoftNMS(**nms)
        self.conv1 = nn.Conv1d(tem_feat_dim, tem_hidden_dim, 3, padding=1)
        self.conv2 = nn.Conv1d(tem_hidden_dim, tem_hidden_dim, 3, padding=1)
        self.conv3 = nn.Conv1d(tem_hidden_dim, 3, 1)

    def forward(self, batch: FeatureBatch) -> dict[str, Tensor]:
        """`action`, `start`, `end` (N, T), in [0, 1]."""
        x = batch["feature"].to(self.conv1.weight.dtype)
        x = self.conv1(x).relu()
        x = self.conv2(x).relu()
        action, start, end = _probability(0.01 * self.conv3(x)).unbind(1)
        return {"action": action, "start": start, "end": end}

    @torch.no_grad()
    def predict(self, batch: FeatureBatch) -> dict[str, Tensor]:
        """`segments` (N, K, 2) in seconds, `scores` (N, K), `count` (N,), from boundaries alone."""
        out = self(batch)
        return self.nms(
            tem_candidates(out["start"], out["end"], self.peak_threshold, num_real(batch)), batch
        )


class PEM(nn.Module):
    """Proposal Evaluation Module of BSN (Lin et al., ECCV 2018, section 3.3).

    The IoU of a proposal with the segment that it overlaps most, from the action probabilities
    sampled in and around it. As in the published network, the outputs of both layers are multiplied
    by 0.1.

    nms: see `SoftNMS`.
    """

    def __init__(
        self,
        pem_feat_dim: int = 32,
        pem_hidden_dim: int = 256,
        **nms: Unpack[SoftNMSOptions],
    ) -> None:
        super().__init__()
        self.nms = SoftNMS(**nms)
        self.fc1 = nn.Linear(pem_feat_dim, pem_hidden_dim)
        self.fc2 = nn.Linear(pem_hidden_dim, 1)

    def forward(self, batch: ProposalBatch) -> dict[str, Tensor]:
        """`iou` (N, M) in [0, 1], of each proposal."""
        x = batch["proposal_feature"].to(self.fc1.weight.dtype)
        x = (0.1 * self.fc1(x)).relu()
        return {"iou": _probability(0.1 * self.fc2(x)).squeeze(-1)}

    @torch.no_grad()
    def predict(self, batch: ProposalBatch) -> dict[str, Tensor]:
        """`segments` (N, K, 2) in seconds, `scores` (N, K), `count` (N,)."""
        iou = self(batch)["iou"].double()
        proposal = batch["proposal"].double()
        start, end, start_score, end_score = proposal.unbind(-1)
        position = torch.arange(iou.shape[1], device=iou.device)
        exists = position < batch["num_proposals"][:, None]
        score = torch.where(exists, start_score * end_score * iou, -1.0)
        return self.nms(Candidates(start, end, score), batch)
