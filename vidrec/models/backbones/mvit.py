"""Improved Multiscale Vision Transformers, MViTv2 (Li et al., CVPR 2022), for video.

Tokens are (B, 1 + T * H * W, C), the class token first.
"""

from collections.abc import Sequence
from typing import ClassVar, TypedDict

import torch
import torch.nn.functional as F
from timm.layers import DropPath, Mlp
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vidrec.models.layers.constants import constant
from vidrec.models.layers.drop_path import drop_path_rates

Size = tuple[int, int, int]  # time, height, width


class Arch(TypedDict):
    """Channels and heads of the first block, number of blocks, and which of them downscale: halve
    height and width, double channels and heads.
    """

    embed_dims: int
    num_layers: int
    num_heads: int
    downscale_indices: Sequence[int]


# Named like the published weights; blocks count from 0.
ARCHS: dict[str, Arch] = {
    "tiny": {"embed_dims": 96, "num_layers": 10, "num_heads": 1, "downscale_indices": (1, 3, 8)},
    "small": {"embed_dims": 96, "num_layers": 16, "num_heads": 1, "downscale_indices": (1, 3, 14)},
    "base": {"embed_dims": 96, "num_layers": 24, "num_heads": 1, "downscale_indices": (2, 5, 21)},
    "large": {"embed_dims": 144, "num_layers": 48, "num_heads": 2, "downscale_indices": (2, 8, 44)},
}
PATCH, PATCH_STRIDE = (3, 7, 7), (2, 4, 4)
FIRST_KEY_STRIDE = 8  # of height and width; halved whenever that of the queries doubles


class MViT(nn.Module):
    """MViTv2 with decomposed relative positions and pooling attention.

    arch: one of `ARCHS`, or a mapping with the same keys.
    spatial_size, temporal_size: pixels and frames of the clips for which the tables of relative
        positions are sized; for other clips the tables are interpolated.
    drop_path_rate: of the last block; it grows linearly from 0 over the blocks.
    dim_mul_in_attention: double the channels in the attention of downscaling blocks, as published,
        instead of in the MLP of the block before, as in MViTv1 and MaskFeat.
    rel_pos_zero_init: the relative positions start as zeros.
    with_cp: inner activations of blocks are recomputed in the backward pass instead of stored.
    """

    block_names: ClassVar[str] = r"blocks\.\d+"  # see `VisionTransformer`

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        arch: str | Arch = "base",
        spatial_size: int = 224,
        temporal_size: int = 16,
        in_channels: int = 3,
        drop_path_rate: float = 0.0,
        dim_mul_in_attention: bool = True,
        mlp_ratio: float = 4.0,
        rel_pos_zero_init: bool = False,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        if isinstance(arch, str):
            if arch not in ARCHS:
                raise ValueError(f"MViT arch='{arch}': choose {', '.join(ARCHS)}")
            arch = ARCHS[arch]
        channels, num_heads = arch["embed_dims"], arch["num_heads"]
        self.with_cp = with_cp
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.patch_embed = PatchEmbed(in_channels, channels)
        grid, key_stride = patch_grid((temporal_size, spatial_size, spatial_size)), FIRST_KEY_STRIDE
        rates = drop_path_rates(drop_path_rate, arch["num_layers"])
        self.blocks = nn.ModuleList()
        for index, drop_path in enumerate(rates):
            halves = index in arch["downscale_indices"]
            if halves:
                num_heads, key_stride = 2 * num_heads, max(key_stride // 2, 1)
            widens = index + (not dim_mul_in_attention) in arch["downscale_indices"]
            out_channels = channels * 2 if widens else channels
            self.blocks.append(
                Block(
                    channels,
                    out_channels,
                    num_heads,
                    grid,
                    query_stride=2 if halves else 1,
                    key_stride=key_stride,
                    dim_mul_in_attention=dim_mul_in_attention,
                    mlp_ratio=mlp_ratio,
                    drop_path=drop_path,
                )
            )
            channels = out_channels
            if halves:
                grid = (grid[0], grid[1] // 2, grid[2] // 2)
        self.out_channels = channels
        # Named after the last of the four scales, as in published weights.
        self.norm_name = f"norm{len(arch['downscale_indices'])}"
        self.add_module(self.norm_name, _norm(channels))
        self.apply(_initialise)
        if not rel_pos_zero_init:
            for name, parameter in self.named_parameters():
                if ".rel_pos_" in name:
                    nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, in_channels, T, H, W) -> map (B, out_channels, T / 2, H / 32, W / 32), sizes rounded
        up, and class token (B, out_channels).
        """
        x, grid = self.patch_embed(x)
        x = torch.cat([self.cls_token.to(x.dtype).expand(x.shape[0], -1, -1), x], dim=1)
        for block in self.blocks:
            if self.with_cp and self.training:
                x, grid = checkpoint(block, x, grid, use_reentrant=False)
            else:
                x, grid = block(x, grid)
        x = self.get_submodule(self.norm_name)(x)
        return x[:, 1:].transpose(1, 2).unflatten(2, grid), x[:, 0]


class PatchEmbed(nn.Module):
    """Overlapping patches."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.projection = nn.Conv3d(in_channels, channels, PATCH, PATCH_STRIDE, (1, 3, 3))

    def forward(self, x: Tensor) -> tuple[Tensor, Size]:
        """(B, in_channels, T, H, W) -> tokens (B, T' * H' * W', channels) and their grid."""
        x = self.projection(x)
        return x.flatten(2).transpose(1, 2), (x.shape[2], x.shape[3], x.shape[4])


class Block(nn.Module):
    """Pooling attention and a multilayer perceptron, both residual."""

    def __init__(  # noqa: PLR0913 - most of it is the attention's
        self,
        in_channels: int,
        out_channels: int,
        num_heads: int,
        grid: Size,
        query_stride: int,
        key_stride: int,
        dim_mul_in_attention: bool,
        mlp_ratio: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.dim_mul_in_attention = dim_mul_in_attention
        channels = out_channels if dim_mul_in_attention else in_channels
        self.norm1 = _norm(in_channels)
        self.attn = PoolingAttention(
            in_channels, channels, num_heads, grid, query_stride, key_stride
        )
        self.drop_path = DropPath(drop_path)
        self.norm2 = _norm(channels)
        self.mlp = Mlp(channels, int(channels * mlp_ratio), out_channels)
        self.proj = nn.Linear(in_channels, out_channels) if in_channels != out_channels else None
        self.pool_skip = None
        if query_stride > 1:
            kernel, stride = query_stride + 1, query_stride
            self.pool_skip = nn.MaxPool3d(
                (1, kernel, kernel), (1, stride, stride), (0, kernel // 2, kernel // 2)
            )

    def forward(self, x: Tensor, grid: Size) -> tuple[Tensor, Size]:
        """(B, 1 + T * H * W, in_channels) and (T, H, W) -> the same of the output."""
        normed = self.norm1(x)
        skip = self.proj(normed) if self.proj is not None and self.dim_mul_in_attention else x
        if self.pool_skip is not None:
            pooled = self.pool_skip(skip[:, 1:].transpose(1, 2).unflatten(2, grid))
            skip = torch.cat([skip[:, :1], pooled.flatten(2).transpose(1, 2)], dim=1)
        attended, grid = self.attn(normed, grid)
        x = skip + self.drop_path(attended)
        normed = self.norm2(x)
        skip = self.proj(normed) if self.proj is not None and not self.dim_mul_in_attention else x
        return skip + self.drop_path(self.mlp(normed)), grid


class PoolingAttention(nn.Module):
    """Section 4.1: attention over pooled queries, keys and values, with decomposed relative
    positions (equations 3 and 4) and a residual connection of the pooled queries (equation 5).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_heads: int,
        grid: Size,
        query_stride: int,
        key_stride: int,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        channels = out_channels // num_heads
        self.scale = channels**-0.5
        num_distances = 2 * max(grid[1] // query_stride, grid[1] // key_stride) - 1
        self.rel_pos_h = nn.Parameter(torch.zeros(num_distances, channels))
        self.rel_pos_w = nn.Parameter(torch.zeros(num_distances, channels))
        self.rel_pos_t = nn.Parameter(torch.zeros(2 * grid[0] - 1, channels))
        self.qkv = nn.Linear(in_channels, 3 * out_channels)
        self.proj = nn.Linear(out_channels, out_channels)
        self.pool_q, self.norm_q = _pooling(channels, query_stride), _norm(channels)
        self.pool_k, self.norm_k = _pooling(channels, key_stride), _norm(channels)
        self.pool_v, self.norm_v = _pooling(channels, key_stride), _norm(channels)

    def forward(self, x: Tensor, grid: Size) -> tuple[Tensor, Size]:
        """(B, 1 + T * H * W, in_channels) and (T, H, W) -> the same of the pooled queries."""
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q, query_grid = _pooled(qkv[0], grid, self.pool_q, self.norm_q)
        k, key_grid = _pooled(qkv[1], grid, self.pool_k, self.norm_k)
        v, _ = _pooled(qkv[2], grid, self.pool_v, self.norm_v)
        x = self.attend(q, k, v, query_grid, key_grid)
        x = torch.cat([x[:, :, :1], x[:, :, 1:] + q[:, :, 1:]], dim=2)
        return self.proj(x.transpose(1, 2).flatten(2)), query_grid

    def attend(self, q: Tensor, k: Tensor, v: Tensor, query_grid: Size, key_grid: Size) -> Tensor:
        """(B, heads, 1 + positions, channels) each -> that of the queries.

        The biases of equation 4 are inner products of each query with a table entry per coordinate
        of the key; unlike in the paper, published weights expect them unscaled. They become extra
        channels of the queries, and one-hot coordinates extra channels of the keys, so that the
        attention itself adds them up and no bias is stored for every pair.
        """
        positions = self.relative_positions(q[:, :, 1:].unflatten(2, query_grid), key_grid)
        marks = coordinate_marks(key_grid, q.device).to(q.dtype)
        num_marks = marks.shape[1]
        # The class token has no position.
        positions = F.pad(positions, (0, num_marks - positions.shape[-1], 1, 0))
        queries = torch.cat([q * self.scale, positions], dim=-1)
        keys = torch.cat([k, marks.expand(*k.shape[:2], -1, -1)], dim=-1)
        # Fused attention needs values with the same number of channels.
        values = F.pad(v, (0, num_marks))
        x = F.scaled_dot_product_attention(queries, keys, values, scale=1.0)
        return x[..., : v.shape[-1]]

    def relative_positions(self, q: Tensor, key_grid: Size) -> Tensor:
        """(B, heads, T, H, W, channels) -> (B, heads, T * H * W, sum of the keys' grid)."""
        products = []
        tables = (self.rel_pos_t, self.rel_pos_h, self.rel_pos_w)
        for axis, (table, num_keys) in enumerate(zip(tables, key_grid, strict=True)):
            num_queries = q.shape[2 + axis]
            rows = _resized(table, 2 * max(num_queries, num_keys) - 1)
            rows = rows.to(q.dtype)[relative_index(num_queries, num_keys, q.device)]
            letter = "thw"[axis]
            products.append(torch.einsum(f"bnthwc,{letter}kc->bnthwk", q, rows))
        return torch.cat(products, dim=-1).flatten(2, 4)


@constant
def relative_index(num_queries: int, num_keys: int, device: torch.device) -> Tensor:
    """Row of a table of 2 * max(queries, keys) - 1 distances, for each pair of coordinates.

    (queries, keys) int64; the coarser of the two is stretched over the finer.
    """
    query = torch.arange(num_queries, device=device)[:, None] * max(num_keys / num_queries, 1.0)
    key_ratio = max(num_queries / num_keys, 1.0)
    key = torch.arange(num_keys, device=device) * key_ratio
    return (query - key + (num_keys - 1) * key_ratio).long()


@constant
def coordinate_marks(grid: Size, device: torch.device) -> Tensor:
    """One-hot time, row and column of every position; zeros for the class token.

    (1 + T * H * W, T + H + W) float32, zero-padded to a multiple of 8 channels, which fused
    attention needs.
    """
    axes = [torch.eye(length, device=device) for length in grid]
    time, height, width = grid
    parts = [
        axes[0][:, None, None].expand(-1, height, width, -1),
        axes[1][None, :, None].expand(time, -1, width, -1),
        axes[2][None, None, :].expand(time, height, -1, -1),
    ]
    return F.pad(torch.cat(parts, dim=-1).flatten(0, 2), (0, -sum(grid) % 8, 1, 0))


def patch_grid(size: Size) -> Size:
    """Number of patches of a clip of (frames, height, width).

    >>> patch_grid((16, 224, 224))
    (8, 56, 56)
    """
    time, height, width = (
        (length - 1) // stride + 1 for length, stride in zip(size, PATCH_STRIDE, strict=True)
    )
    return time, height, width


def _pooled(x: Tensor, grid: Size, pool: nn.Module, norm: nn.Module) -> tuple[Tensor, Size]:
    """Pools tokens (B, heads, 1 + positions, channels), except for the class token."""
    patches = x[:, :, 1:].unflatten(2, grid).flatten(0, 1).movedim(-1, 1)
    patches = pool(patches)
    pooled_grid = (patches.shape[2], patches.shape[3], patches.shape[4])
    patches = patches.flatten(2).transpose(1, 2).unflatten(0, x.shape[:2])
    return norm(torch.cat([x[:, :, :1], patches], dim=2)), pooled_grid


def _pooling(channels: int, stride: int) -> nn.Conv3d:
    """A depthwise 3x3x3 convolution that all heads share."""
    return nn.Conv3d(channels, channels, 3, (1, stride, stride), 1, groups=channels, bias=False)


def _resized(table: Tensor, num_distances: int) -> Tensor:
    """(distances, channels), interpolated to the number of distances."""
    if len(table) == num_distances:
        return table
    return F.interpolate(table.T[None], num_distances, mode="linear")[0].T


def _norm(channels: int) -> nn.LayerNorm:
    return nn.LayerNorm(channels, eps=1e-6)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv3d):
        nn.init.trunc_normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear | nn.LayerNorm):
        nn.init.constant_(module.bias, 0.02)
