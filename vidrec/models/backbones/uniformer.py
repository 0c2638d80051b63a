"""UniFormer (Li et al., ICLR 2022): local relations by convolution, global ones by attention."""

from collections.abc import Sequence
from typing import ClassVar

import torch.nn.functional as F
from timm.layers import DropPath, Mlp
from torch import Tensor, nn

from vidrec.models.layers.checkpoint import run_blocks
from vidrec.models.layers.drop_path import drop_path_rates

Size = tuple[int, int, int]  # time, height, width


class UniFormer(nn.Module):
    """Four stages over maps (B, C, T, H, W): two of local and two of global blocks (section 3).

    depth, embed_dim: blocks and channels of each stage; by default the base network.
    head_dim: channels of an attention head.
    drop_path_rate: of the last block; it grows linearly from 0 over the blocks.
    with_cp: inner activations of blocks are recomputed in the backward pass instead of stored.
    """

    block_names: ClassVar[str] = r"blocks[1-4]\.\d+"  # see `VisionTransformer`

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        depth: Sequence[int] = (5, 8, 20, 7),
        in_channels: int = 3,
        embed_dim: Sequence[int] = (64, 128, 320, 512),
        head_dim: int = 64,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        if len(depth) != 4 or len(embed_dim) != 4:
            raise ValueError(
                f"UniFormer depth={list(depth)}, embed_dim={list(embed_dim)}: give four values each"
            )
        for channels in embed_dim[2:]:
            if channels % head_dim:
                raise ValueError(
                    f"UniFormer embed_dim={list(embed_dim)}: {channels} is not a multiple of "
                    f"head_dim={head_dim}"
                )
        self.with_cp = with_cp
        self.out_channels = embed_dim[-1]
        # Only the first patches overlap, and only in time.
        self.patch_embed1 = PatchEmbed(in_channels, embed_dim[0], (3, 4, 4), (2, 4, 4))
        for stage in (2, 3, 4):
            embedding = PatchEmbed(embed_dim[stage - 2], embed_dim[stage - 1], (1, 2, 2), (1, 2, 2))
            self.add_module(f"patch_embed{stage}", embedding)
        self.pos_drop = nn.Dropout(drop_rate)
        rates = iter(drop_path_rates(drop_path_rate, sum(depth)))

        def block(stage: int) -> nn.Module:
            channels = embed_dim[stage - 1]
            hidden = int(channels * mlp_ratio)
            if stage <= 2:
                return LocalBlock(channels, hidden, drop_rate, next(rates))
            heads = channels // head_dim
            attention = Attention(channels, heads, qkv_bias, qk_scale, drop_rate, attn_drop_rate)
            return GlobalBlock(channels, hidden, attention, drop_rate, next(rates))

        for stage, num_blocks in enumerate(depth, start=1):
            blocks = nn.ModuleList(block(stage) for _ in range(num_blocks))
            self.add_module(f"blocks{stage}", blocks)
        self.norm = nn.BatchNorm3d(embed_dim[-1])
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, T, H, W) -> (B, out_channels, T / 2, H / 32, W / 32)."""
        for stage in (1, 2, 3, 4):
            x = self.get_submodule(f"patch_embed{stage}")(x)
            if stage == 1:
                x = self.pos_drop(x)
            blocks = self.get_submodule(f"blocks{stage}").children()
            x = run_blocks(blocks, x, self.with_cp and self.training)
        return self.norm(x)


class PatchEmbed(nn.Module):
    """Patches to tokens, normalised over their channels."""

    def __init__(self, in_channels: int, channels: int, kernel: Size, stride: Size) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.proj = nn.Conv3d(in_channels, channels, kernel, stride, (kernel[0] // 2, 0, 0))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, D, t, h, w)."""
        return self.norm(self.proj(x).movedim(1, -1)).movedim(-1, 1)


class LocalBlock(nn.Module):
    """Relations within 5x5x5 positions that depend on distance alone (section 3.2, local MHRA)."""

    def __init__(
        self, channels: int, hidden_channels: int, drop_rate: float, drop_path: float
    ) -> None:
        super().__init__()
        self.pos_embed = nn.Conv3d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = nn.BatchNorm3d(channels)
        self.conv1 = nn.Conv3d(channels, channels, 1)
        self.conv2 = nn.Conv3d(channels, channels, 1)
        self.attn = nn.Conv3d(channels, channels, 5, padding=2, groups=channels)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.BatchNorm3d(channels)
        self.mlp = PointwiseMLP(channels, hidden_channels, drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> the same shape."""
        x = x + self.pos_embed(x)
        x = x + self.drop_path(self.conv2(self.attn(self.conv1(self.norm1(x)))))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PointwiseMLP(nn.Module):
    """timm's `Mlp` on every position of a map, as convolutions."""

    def __init__(self, channels: int, hidden_channels: int, drop_rate: float) -> None:
        super().__init__()
        self.fc1 = nn.Conv3d(channels, hidden_channels, 1)
        self.act = nn.GELU()
        self.fc2 = nn.Conv3d(hidden_channels, channels, 1)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, T, H, W) -> the same shape."""
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))


class GlobalBlock(nn.Module):
    """Relations between all positions, by attention (section 3.2, global MHRA)."""

    def __init__(
        self,
        channels: int,
        hidden_channels: int,
        attention: "Attention",
        drop_rate: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.pos_embed = nn.Conv3d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = nn.LayerNorm(channels)
        self.attn = attention
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels, hidden_channels, drop=drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> the same shape."""
        x = x + self.pos_embed(x)
        grid = x.shape[2:]
        x = x.flatten(2).transpose(1, 2)
        x = x + self.drop_path(self.attn(self.norm1(x)))
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x.transpose(1, 2).unflatten(2, grid)


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al., 2017, section 3.2.2)."""

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
        self.num_heads = num_heads
        self.scale = qk_scale or (channels // num_heads) ** -0.5
        self.attn_drop_rate = attn_drop_rate
        self.qkv = nn.Linear(channels, 3 * channels, bias=qkv_bias)
        self.proj = nn.Linear(channels, channels)
        self.proj_drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) -> the same shape."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        dropout = self.attn_drop_rate if self.training else 0.0
        x = F.scaled_dot_product_attention(q, k, v, None, dropout, scale=self.scale)
        return self.proj_drop(self.proj(x.transpose(1, 2).flatten(2)))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
