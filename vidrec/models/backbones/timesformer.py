"""TimeSformer (Bertasius et al., ICML 2021): a vision transformer whose attention includes time.

Tokens of a clip are (B, 1 + P * T, C): a class token, then P patches of T frames each.
"""

from typing import ClassVar, Literal, get_args

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from vidrec.models.layers.attention import MultiheadAttention
from vidrec.models.layers.checkpoint import run_blocks
from vidrec.models.layers.drop_path import drop_path_rates
from vidrec.models.layers.feed_forward import FeedForward
from vidrec.models.layers.patch_embed import embed_patches

AttentionType = Literal["divided_space_time", "joint_space_time", "space_only"]
NORM_EPS = 1e-6


class TimeSformer(nn.Module):
    """A vision transformer over the patches of `num_frames` frames.

    attention_type: over time, then over space ("divided_space_time"); over all patches of all
        frames ("joint_space_time"); within a frame, frames being averaged at the end
        ("space_only").
    img_size: height and width of the frames, in pixels.
    dropout_ratio: on the tokens after positions are added.
    drop_path_rate: of the last block; it grows linearly from 0 over the blocks.
    with_cp: inner activations of blocks are recomputed in the backward pass instead of stored.
    """

    block_names: ClassVar[str] = r"transformer_layers\.layers\.\d+"  # see `VisionTransformer`

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        num_frames: int = 8,
        img_size: int = 224,
        patch_size: int = 16,
        embed_dims: int = 768,
        num_heads: int = 12,
        num_transformer_layers: int = 12,
        in_channels: int = 3,
        dropout_ratio: float = 0.0,
        drop_path_rate: float = 0.1,
        attention_type: AttentionType = "divided_space_time",
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        if attention_type not in get_args(AttentionType):
            raise ValueError(
                f"TimeSformer attention_type='{attention_type}': choose one of "
                + ", ".join(get_args(AttentionType))
            )
        self.out_channels = embed_dims
        self.num_frames = num_frames
        self.grid_size = img_size // patch_size
        self.attention_type = attention_type
        self.with_cp = with_cp
        self.cls_token = nn.Parameter(torch.empty(1, 1, embed_dims))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + self.grid_size**2, embed_dims))
        if attention_type != "space_only":
            self.time_embed = nn.Parameter(torch.zeros(1, num_frames, embed_dims))
        self.patch_embed = PatchEmbed(in_channels, embed_dims, patch_size)
        self.pos_drop = nn.Dropout(dropout_ratio)
        self.norm = nn.LayerNorm(embed_dims, eps=NORM_EPS)

        def block(drop_path: float) -> nn.Module:
            if attention_type == "divided_space_time":
                return DividedBlock(embed_dims, num_heads, num_frames, drop_path)
            return JointBlock(embed_dims, num_heads, drop_path)

        rates = drop_path_rates(drop_path_rate, num_transformer_layers)
        blocks = nn.ModuleList(block(rate) for rate in rates)
        self.transformer_layers = nn.ModuleDict({"layers": blocks})
        self._initialise()

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, num_frames, H, W) -> (B, embed_dims), the class token."""
        patches = self.patch_embed(x)  # (B, T, h, w, C)
        expected = (self.num_frames, self.grid_size, self.grid_size)
        if patches.shape[1:4] != expected:
            raise ValueError(
                f"TimeSformer has positions for {expected} frames, rows and columns of patches, "
                f"but the clip has {tuple(patches.shape[1:4])}; set num_frames and img_size"
            )
        num_clips, num_frames = patches.shape[:2]
        patches = patches.flatten(2, 3) + self.pos_embed[:, None, 1:]  # (B, T, P, C)
        cls_token = self.cls_token + self.pos_embed[:, :1]
        if self.attention_type == "space_only":
            tokens = patches.flatten(0, 1)
        else:
            patches = self.pos_drop(patches) + self.time_embed[:, :, None]
            tokens = patches.transpose(1, 2).flatten(1, 2)
        x = torch.cat([cls_token.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        x = self.pos_drop(x)
        blocks = self.transformer_layers["layers"].children()
        x = run_blocks(blocks, x, self.with_cp and self.training)
        cls_token = x[:, 0]
        if self.attention_type == "space_only":
            cls_token = cls_token.unflatten(0, (num_clips, num_frames)).mean(dim=1)
        return self.norm(cls_token)

    def _initialise(self) -> None:
        """As in vision transformers; temporal attention starts as the identity."""
        for parameter in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(parameter, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, TemporalAttention):
                nn.init.zeros_(module.temporal_fc.weight)


class PatchEmbed(nn.Module):
    """Patches of single frames to tokens."""

    def __init__(self, in_channels: int, channels: int, patch_size: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(in_channels, channels, patch_size, patch_size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, T, H, W) -> (B, T, h, w, channels)."""
        return embed_patches(x, self.projection.weight.unsqueeze(2), self.projection.bias)


class DividedBlock(nn.Module):
    """Attention over time, attention over space (equations 8 and 9), feed-forward."""

    def __init__(self, channels: int, num_heads: int, num_frames: int, drop_path: float) -> None:
        super().__init__()
        self.attentions = nn.ModuleList(
            [
                TemporalAttention(channels, num_heads, num_frames, drop_path),
                SpatialAttention(channels, num_heads, num_frames, drop_path),
            ]
        )
        self.ffns = nn.ModuleList([NormedFeedForward(channels, 4 * channels)])
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1 + P * T, C) -> the same shape."""
        for attention in self.attentions:
            x = attention(x)
        return x + self.drop_path(self.ffns[0](x))


class TemporalAttention(nn.Module):
    """Every patch attends to its place in all frames; the class token is left out."""

    def __init__(self, channels: int, num_heads: int, num_frames: int, drop_path: float) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.attn = MultiheadAttention(channels, num_heads)
        self.temporal_fc = nn.Linear(channels, channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, 1 + P * T, D), the class token first -> the same shape."""
        cls_token, patches = x[:, :1], x[:, 1:]
        rows = self.norm(patches).reshape(-1, self.num_frames, patches.shape[-1])
        rows = self.temporal_fc(self.drop_path(self.attn(rows)))
        return torch.cat([cls_token, patches + rows.view(patches.shape)], dim=1)


class SpatialAttention(nn.Module):
    """Every patch attends to its frame; the class token attends to each frame separately, and the
    results are averaged.
    """

    def __init__(self, channels: int, num_heads: int, num_frames: int, drop_path: float) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.attn = MultiheadAttention(channels, num_heads)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, 1 + P * T, D), the class token first -> the same shape."""
        normed = self.norm(x)
        patches = normed[:, 1:].unflatten(1, (-1, self.num_frames)).transpose(1, 2)
        cls_token = normed[:, None, :1].expand(-1, self.num_frames, -1, -1)
        frames = torch.cat([cls_token, patches], dim=2)  # (B, T, 1 + P, C)
        seen = self.drop_path(self.attn(frames.flatten(0, 1))).view(frames.shape)
        cls_token = seen[:, :, 0].mean(dim=1, keepdim=True)
        patches = seen[:, :, 1:].transpose(1, 2).flatten(1, 2)
        return x + torch.cat([cls_token, patches], dim=1)


class NormedFeedForward(FeedForward):
    """A feed-forward network with pre-normalisation."""

    def __init__(self, channels: int, hidden_channels: int) -> None:
        super().__init__(channels, hidden_channels)
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> the same shape."""
        return super().forward(self.norm(x))


class JointBlock(nn.Module):
    """Attention over all tokens, feed-forward."""

    def __init__(self, channels: int, num_heads: int, drop_path: float) -> None:
        super().__init__()
        attention = nn.ModuleDict({"attn": MultiheadAttention(channels, num_heads)})
        self.attentions = nn.ModuleList([attention])
        self.ffns = nn.ModuleList([FeedForward(channels, 4 * channels)])
        self.norms = nn.ModuleList(nn.LayerNorm(channels, eps=NORM_EPS) for _ in range(2))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) -> the same shape."""
        attention = self.attentions[0].get_submodule("attn")
        x = x + self.drop_path(attention(self.norms[0](x)))
        return x + self.drop_path(self.ffns[0](self.norms[1](x)))
