"""The vision transformer over tubelets of VideoMAE (Tong et al., NeurIPS 2022) and VideoMAE V2
(Wang et al., CVPR 2023).
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn

from vidrec.models.layers.attention import check_heads, split_heads
from vidrec.models.layers.checkpoint import run_blocks
from vidrec.models.layers.drop_path import drop_path_rates
from vidrec.models.layers.feed_forward import FeedForward
from vidrec.models.layers.patch_embed import embed_patches

NORM_EPS = 1e-6


class VisionTransformer(nn.Module):
    """Joint attention over the tubelets of a clip; by default the base network.

    img_size, num_frames: of the position embedding, which is resized for frames of another size.
    mlp_ratio: hidden channels of a block over its channels.
    qk_scale: factor of the products of queries and keys; by default 1 / sqrt(channels of a head).
    drop_path_rate: of the last block; it grows linearly from 0 over the blocks.
    init_values: initial values of LayerScale on each branch; 0: there is none.
    use_learnable_pos_emb: the position embedding is learned; by default it is sinusoidal.
    return_feat_map: return the map of normalised tokens, for detection; by default their mean,
        normalised.
    with_cp: inner activations of blocks are recomputed in the backward pass instead of stored.
    """

    block_names: ClassVar[str] = r"blocks\.\d+"  # the layers of layer-wise learning rates

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        img_size: int = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        embed_dims: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        init_values: float = 0.0,
        use_learnable_pos_emb: bool = False,
        num_frames: int = 16,
        tubelet_size: int = 2,
        return_feat_map: bool = False,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.out_channels = embed_dims
        self.grid_size = img_size // patch_size
        self.return_feat_map = return_feat_map
        self.with_cp = with_cp
        self.patch_embed = PatchEmbed(in_channels, embed_dims, (tubelet_size, patch_size))
        num_patches = num_frames // tubelet_size * self.grid_size**2
        if use_learnable_pos_emb:
            self.pos_embed = nn.Parameter(torch.empty(1, num_patches, embed_dims))
            nn.init.trunc_normal_(self.pos_embed, std=0.02)
        else:
            self.register_buffer("pos_embed", sines(num_patches, embed_dims))
        self.pos_drop = nn.Dropout(drop_rate)
        hidden = round(embed_dims * mlp_ratio)
        self.blocks = nn.ModuleList(
            Block(
                Attention(embed_dims, num_heads, qkv_bias, qk_scale, drop_rate, attn_drop_rate),
                FeedForward(embed_dims, hidden, drop_rate),
                embed_dims,
                rate,
                init_values,
            )
            for rate in drop_path_rates(drop_path_rate, depth)
        )
        norm = nn.LayerNorm(embed_dims, eps=NORM_EPS)
        if return_feat_map:
            self.norm = norm
        else:
            self.fc_norm = norm
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, T, H, W) -> (B, embed_dims), or the map (B, embed_dims, t, h, w)."""
        patches = self.patch_embed(x)  # (B, t, h, w, C)
        time, height, width = patches.shape[1:4]
        x = self.pos_drop(patches.flatten(1, 3) + self._positions(time, height, width))
        x = run_blocks(self.blocks, x, self.with_cp and self.training)
        if self.return_feat_map:
            return self.norm(x).unflatten(1, (time, height, width)).movedim(-1, 1)
        return self.fc_norm(x.mean(dim=1))

    def _positions(self, time: int, height: int, width: int) -> Tensor:
        """The position embedding (1, time * height * width, C), resized within each frame."""
        maps = self.pos_embed.unflatten(1, (-1, self.grid_size, self.grid_size))
        if maps.shape[1] != time:
            raise ValueError(
                f"VisionTransformer has positions for {maps.shape[1]} time steps, but the clip has "
                f"{time}; set num_frames to the frames of a clip"
            )
        if (height, width) != (self.grid_size, self.grid_size):
            frames = maps[0].movedim(-1, 1)
            frames = F.interpolate(frames, (height, width), mode="bicubic", align_corners=False)
            maps = frames.movedim(1, -1)[None]
        return maps.flatten(1, 3)


class PatchEmbed(nn.Module):
    """Tubelets (time, patch edge) to tokens."""

    def __init__(self, in_channels: int, channels: int, tubelet: tuple[int, int]) -> None:
        super().__init__()
        time, edge = tubelet
        size = (time, edge, edge)
        self.projection = nn.Conv3d(in_channels, channels, size, size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, T, H, W) -> (B, t, h, w, channels)."""
        return embed_patches(x, self.projection.weight, self.projection.bias)


class Block(nn.Module):
    """Attention and feed-forward branches with pre-normalisation."""

    def __init__(
        self,
        attention: "Attention",
        feed_forward: FeedForward,
        channels: int,
        drop_path: float,
        init_values: float,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=NORM_EPS)
        self.attn = attention
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(channels, eps=NORM_EPS)
        self.mlp = feed_forward
        self.scaled = init_values > 0
        if self.scaled:
            self.gamma_1 = nn.Parameter(torch.full((channels,), init_values))
            self.gamma_2 = nn.Parameter(torch.full((channels,), init_values))

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) -> the same shape."""
        branch = self.attn(self.norm1(x))
        x = x + self.drop_path(self.gamma_1 * branch if self.scaled else branch)
        branch = self.mlp(self.norm2(x))
        return x + self.drop_path(self.gamma_2 * branch if self.scaled else branch)


class Attention(nn.Module):
    """Multi-head self-attention; keys have no bias, since it would cancel in the softmax."""

    def __init__(
        self,
        channels: int,
        num_heads: int,
        qkv_bias: bool,
        qk_scale: float | None,
        drop_rate: float,
        attn_drop_rate: float,
    ) -> None:
        super().__init__()
        check_heads(channels, num_heads)
        self.num_heads = num_heads
        self.scale = qk_scale or (channels // num_heads) ** -0.5
        self.attn_drop_rate = attn_drop_rate
        if qkv_bias:
            self.q_bias = nn.Parameter(torch.zeros(channels))
            self.v_bias = nn.Parameter(torch.zeros(channels))
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.proj = nn.Linear(channels, channels)
        self.proj_drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) -> the same shape."""
        bias = None
        if hasattr(self, "q_bias"):
            bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        q, k, v = split_heads(F.linear(x, self.qkv.weight, bias), 3, self.num_heads)
        dropout = self.attn_drop_rate if self.training else 0.0
        x = F.scaled_dot_product_attention(q, k, v, None, dropout, scale=self.scale)
        return self.proj_drop(self.proj(x.transpose(1, 2).flatten(2)))


def sines(num_positions: int, channels: int) -> Tensor:
    """Sinusoidal positions (1, num_positions, channels), sines and cosines alternating.

    Vaswani et al. (2017), section 3.5.
    """
    wave = torch.arange(channels, dtype=torch.float64) // 2 * 2 / channels
    angles = torch.arange(num_positions, dtype=torch.float64)[:, None] * 10000**-wave
    table = torch.stack([angles[:, 0::2].sin(), angles[:, 1::2].cos()], dim=-1)
    return table.flatten(1)[None].float()


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
