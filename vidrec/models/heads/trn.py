"""Head of Temporal Relation Networks (Zhou et al., ECCV 2018)."""

import itertools
from typing import Literal, get_args

import torch
from torch import Tensor, nn

Relations = Literal["first", "all"]


class MultiScaleRelations(nn.Module):
    """The sum of relations between 2, 3, ... and all frames of a clip (equation 2).

    max_relations: ordered combinations used per number of frames; in training they are random.
    test_relations: those used in evaluation: the first ones, or all of them, whose mean times the
        number used in training is the expectation over random ones.
    """

    def __init__(
        self,
        hidden_dim: int,
        num_segments: int,
        num_classes: int,
        max_relations: int = 3,
        test_relations: Relations = "first",
    ) -> None:
        super().__init__()
        if num_segments < 2:
            raise ValueError(f"num_segments={num_segments}: relations need at least two frames")
        if test_relations not in get_args(Relations):
            raise ValueError(
                f"test_relations='{test_relations}': choose {' or '.join(get_args(Relations))}"
            )
        self.num_segments = num_segments
        self.max_relations = max_relations
        self.test_relations = test_relations
        bottleneck = 256
        self.fc_fusion_scales = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(),
                nn.Linear(num_frames * hidden_dim, bottleneck),
                nn.ReLU(),
                nn.Linear(bottleneck, num_classes),
            )
            for num_frames in range(num_segments, 1, -1)
        )
        for num_frames in range(2, num_segments + 1):
            combinations = list(itertools.combinations(range(num_segments), num_frames))
            self.register_buffer(
                f"relations_{num_frames}", torch.tensor(combinations), persistent=False
            )

    def forward(self, features: Tensor) -> Tensor:
        """(B, num_segments, hidden_dim) -> (B, K)."""
        scores = []
        for num_frames, fusion in zip(
            range(self.num_segments, 1, -1), self.fc_fusion_scales, strict=True
        ):
            combinations = getattr(self, f"relations_{num_frames}")
            taken = min(self.max_relations, len(combinations))
            if self.training:
                order = torch.rand(len(combinations), device=combinations.device).argsort()
                combinations = combinations[order[:taken]]
            elif self.test_relations == "first":
                combinations = combinations[:taken]
            related = fusion(features[:, combinations].flatten(2))  # (B, combinations, K)
            scores.append(related.mean(dim=1) * taken)
        return torch.stack(scores).sum(dim=0)


class SingleScaleRelation(nn.Module):
    """The relation between all frames of a clip (equation 1)."""

    def __init__(self, hidden_dim: int, num_segments: int, num_classes: int) -> None:
        super().__init__()
        bottleneck = 512
        self.classifier = nn.Sequential(
            nn.ReLU(),
            nn.Linear(num_segments * hidden_dim, bottleneck),
            nn.ReLU(),
            nn.Linear(bottleneck, num_classes),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, num_segments, hidden_dim) -> (B, K)."""
        return self.classifier(features.flatten(1))


class TRNHead(nn.Module):
    """Features of single frames, then relations between frames.

    num_segments: frames of a clip.
    relation_type: "TRNMultiScale" or "TRN", for `MultiScaleRelations` or `SingleScaleRelation`.
    hidden_dim: size of the features of a frame.
    max_relations, test_relations: see `MultiScaleRelations`.
    """

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        num_classes: int,
        in_channels: int,
        num_segments: int = 8,
        relation_type: Literal["TRNMultiScale", "TRN"] = "TRNMultiScale",
        hidden_dim: int = 256,
        dropout_ratio: float = 0.8,
        init_std: float = 0.001,
        max_relations: int = 3,
        test_relations: Relations = "first",
    ) -> None:
        super().__init__()
        self.consensus: nn.Module
        if relation_type == "TRNMultiScale":
            self.consensus = MultiScaleRelations(
                hidden_dim, num_segments, num_classes, max_relations, test_relations
            )
        elif relation_type == "TRN":
            self.consensus = SingleScaleRelation(hidden_dim, num_segments, num_classes)
        else:
            raise ValueError(f"relation_type='{relation_type}': choose TRNMultiScale or TRN")
        self.in_channels = in_channels
        self.num_segments = num_segments
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc_cls = nn.Linear(in_channels, hidden_dim)
        nn.init.normal_(self.fc_cls.weight, std=init_std)
        nn.init.zeros_(self.fc_cls.bias)

    def forward(self, features: Tensor, num_frames: int) -> Tensor:
        """(B * num_frames, in_channels, h, w) -> (B, K)."""
        if num_frames != self.num_segments:
            raise ValueError(
                f"TRNHead has num_segments={self.num_segments}, but clips have {num_frames} "
                "frames: set model.clip.clips or model.clip.frames_per_view"
            )
        hidden = self.fc_cls(self.dropout(features.mean(dim=(2, 3))))
        return self.consensus(hidden.unflatten(0, (-1, num_frames)))
