"""Video Swin Transformer (Liu et al., CVPR 2022): attention in windows of space and time.

Feature maps are (B, T, H, W, C) throughout, tokens are (B, W, N, C) with W windows of N positions.
"""

from collections.abc import Sequence
from typing import ClassVar, TypedDict

import torch
import torch.nn.functional as F
from timm.layers import DropPath, Mlp
from torch import Tensor, nn

from vidrec.models.layers.checkpoint import run_blocks
from vidrec.models.layers.constants import constant
from vidrec.models.layers.drop_path import drop_path_rates
from vidrec.models.layers.freeze import stop_gradients, stop_statistics

Size = tuple[int, int, int]  # time, height, width


class Arch(TypedDict):
    """Channels of the first stage, blocks and attention heads of each stage."""

    embed_dims: int
    depths: Sequence[int]
    num_heads: Sequence[int]


# Section 3.3.
ARCHS: dict[str, Arch] = {
    "tiny": {"embed_dims": 96, "depths": (2, 2, 6, 2), "num_heads": (3, 6, 12, 24)},
    "small": {"embed_dims": 96, "depths": (2, 2, 18, 2), "num_heads": (3, 6, 12, 24)},
    "base": {"embed_dims": 128, "depths": (2, 2, 18, 2), "num_heads": (4, 8, 16, 32)},
    "large": {"embed_dims": 192, "depths": (2, 2, 18, 2), "num_heads": (6, 12, 24, 48)},
}


class SwinTransformer3D(nn.Module):
    """Video Swin Transformer with four stages (figure 1).

    arch: one of `ARCHS`, or a mapping with the same keys.
    patch_size, window_size: (time, height, width); a window is never larger than the map.
    qk_scale: factor of the products of queries and keys; by default 1 / sqrt(channels of a head).
    drop_path_rate: of the last block; it grows linearly from 0 over the blocks.
    frozen_stages: the patch embedding (0) and the stages up to this one (1 to 4) are not trained;
        -1: all are.
    with_cp: inner activations of blocks are recomputed in the backward pass instead of stored.
    out_indices: the stages (0 to 3) whose normalised maps are returned.
    """

    block_names: ClassVar[str] = r"layers\.\d+\.blocks\.\d+"  # see `VisionTransformer`

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        arch: str | Arch,
        in_channels: int = 3,
        patch_size: Sequence[int] = (2, 4, 4),
        window_size: Sequence[int] = (8, 7, 7),
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        patch_norm: bool = True,
        frozen_stages: int = -1,
        with_cp: bool = False,
        out_indices: Sequence[int] = (3,),
    ) -> None:
        super().__init__()
        if isinstance(arch, str):
            if arch not in ARCHS:
                raise ValueError(f"SwinTransformer3D arch='{arch}': choose {', '.join(ARCHS)}")
            arch = ARCHS[arch]
        depths, num_heads = arch["depths"], arch["num_heads"]
        if not out_indices or not set(out_indices) <= set(range(len(depths))):
            raise ValueError(
                f"SwinTransformer3D out_indices={list(out_indices)}: stages count from 0 to "
                f"{len(depths) - 1}"
            )
        self.frozen_stages = frozen_stages
        self.out_indices = tuple(out_indices)
        self.patch_embed = PatchEmbed(
            in_channels, arch["embed_dims"], _size(patch_size), patch_norm
        )
        self.pos_drop = nn.Dropout(drop_rate)
        rates = drop_path_rates(drop_path_rate, sum(depths))
        self.layers = nn.ModuleList()
        for index, (depth, heads) in enumerate(zip(depths, num_heads, strict=True)):
            channels = arch["embed_dims"] * 2**index
            blocks = [
                Block(
                    channels,
                    heads,
                    _size(window_size),
                    shifted=bool(block % 2),
                    mlp_ratio=mlp_ratio,
                    qkv_bias=qkv_bias,
                    qk_scale=qk_scale,
                    drop_rate=drop_rate,
                    attn_drop_rate=attn_drop_rate,
                    drop_path=rates[sum(depths[:index]) + block],
                )
                for block in range(depth)
            ]
            merging = PatchMerging(channels) if index + 1 < len(depths) else None
            self.layers.append(Stage(blocks, merging, with_cp))
        for index in self.out_indices:
            self.add_module(f"norm{index}", nn.LayerNorm(arch["embed_dims"] * 2**index))
        self.out_channels = arch["embed_dims"] * 2 ** self.out_indices[-1]
        self.apply(_initialise)
        stop_gradients(self._frozen())

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """(B, in_channels, T, H, W) -> (B, out_channels, T / 2, H / 32, W / 32), sizes rounded up;
        a tuple for several stages.
        """
        x = self.pos_drop(self.patch_embed(x))
        maps = []
        for index, stage in enumerate(self.layers):
            x = stage(x)
            if index in self.out_indices:
                maps.append(self.get_submodule(f"norm{index}")(x).movedim(-1, 1))
            x = stage.get_submodule("downsample")(x)
        return maps[0] if len(maps) == 1 else tuple(maps)

    def train(self, mode: bool = True) -> "SwinTransformer3D":
        super().train(mode)
        stop_statistics(self._frozen())
        return self

    def _frozen(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        return [self.patch_embed, self.pos_drop, *self.layers[: self.frozen_stages]]


class PatchEmbed(nn.Module):
    """A linear projection of patches that do not overlap."""

    def __init__(self, in_channels: int, channels: int, patch_size: Size, norm: bool) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv3d(in_channels, channels, patch_size, patch_size)
        self.norm = nn.LayerNorm(channels) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, T, H, W), zero-padded to whole patches -> (B, T', H', W', channels)."""
        x = self.proj(_padded(x.movedim(1, -1), self.patch_size).movedim(-1, 1)).movedim(1, -1)
        return x if self.norm is None else self.norm(x)


class PatchMerging(nn.Module):
    """Merges 2 x 2 neighbours into one token with twice the channels (section 3.1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)
        self.norm = nn.LayerNorm(4 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) -> (B, T, H / 2, W / 2, 2 C), sizes rounded up."""
        x = _padded(x, (1, 2, 2))
        neighbours = [x[:, :, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(torch.cat(neighbours, dim=-1)))


class Stage(nn.Module):
    """Blocks that attend within windows, alternately regular and shifted by half a window.

    downsample: applied by the network, which returns the maps from before it.
    """

    def __init__(
        self, blocks: Sequence["Block"], downsample: PatchMerging | None, with_cp: bool
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.blocks = nn.ModuleList(blocks)
        self.downsample = nn.Identity() if downsample is None else downsample

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) -> the same shape."""
        return run_blocks(self.blocks, x, self.with_cp and self.training)


class Block(nn.Module):
    """Equation 1: attention within windows, then a multilayer perceptron, both residual."""

    def __init__(  # noqa: PLR0913 - most of it is the attention's
        self,
        channels: int,
        num_heads: int,
        window_size: Size,
        shifted: bool,
        mlp_ratio: float,
        qkv_bias: bool,
        qk_scale: float | None,
        drop_rate: float,
        attn_drop_rate: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.window_size = window_size
        self.shifted = shifted
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(
            channels, num_heads, window_size, qkv_bias, qk_scale, drop_rate, attn_drop_rate
        )
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels, int(channels * mlp_ratio), drop=drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) -> the same shape."""
        x = x + self.drop_path(self.attend(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))

    def attend(self, x: Tensor) -> Tensor:
        """Attention within windows of the map."""
        time, height, width = x.shape[1:4]
        window, shift = fitted((time, height, width), self.window_size, self.shifted)
        # Padding takes part in the attention, as in the training of published weights.
        x = _padded(x, window)
        grid = (x.shape[1], x.shape[2], x.shape[3])
        mask = None
        if any(shift):
            x = x.roll([-step for step in shift], dims=(1, 2, 3))
            mask = shift_mask(grid, window, shift, x.device)
        x = joined(self.attn(windows(x, window), mask), grid, window)
        if any(shift):
            x = x.roll(shift, dims=(1, 2, 3))
        return x[:, :time, :height, :width]


class WindowAttention(nn.Module):
    """Multi-head attention over the positions of a window, with a bias per distance."""

    relative_position_index: Tensor

    def __init__(
        self,
        channels: int,
        num_heads: int,
        window_size: Size,
        qkv_bias: bool,
        qk_scale: float | None,
        drop_rate: float,
        attn_drop_rate: float,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.scale = qk_scale or (channels // num_heads) ** -0.5
        self.attn_drop_rate = attn_drop_rate
        time, height, width = window_size
        num_distances = (2 * time - 1) * (2 * height - 1) * (2 * width - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(num_distances, num_heads))
        self.register_buffer("relative_position_index", relative_index(window_size))
        self.qkv = nn.Linear(channels, 3 * channels, bias=qkv_bias)
        self.proj = nn.Linear(channels, channels)
        self.proj_drop = nn.Dropout(drop_rate)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, W, N, C) and a mask (W, N, N) or None -> (B, W, N, C)."""
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(3, 0, 1, 4, 2, 5)
        bias = self.bias(x.shape[2]).to(qkv.dtype)
        # Windows are folded into the axis that the bias does not depend on, so that it is never
        # repeated in memory: the samples, or, if a mask differs between windows, the heads.
        axes = (0, 1)
        if mask is not None:
            axes, bias = (1, 2), (bias + mask.to(bias.dtype)[:, None]).flatten(0, 1)
        q, k, v = (part.flatten(*axes) for part in qkv)
        dropout = self.attn_drop_rate if self.training else 0.0
        x = F.scaled_dot_product_attention(q, k, v, bias[None], dropout, scale=self.scale)
        x = x.unflatten(axes[0], qkv.shape[1 + axes[0] : 3 + axes[0]])
        return self.proj_drop(self.proj(x.transpose(2, 3).flatten(3)))

    def bias(self, num_positions: int) -> Tensor:
        """Equation 2: (heads, N, N).

        A window that is smaller than configured takes the rows of the first N positions of a full
        window, as in published networks; if it is smaller in height or width, these rows belong to
        other distances.
        """
        index = self.relative_position_index[:num_positions, :num_positions]
        rows = self.relative_position_bias_table.index_select(0, index.flatten())
        return rows.unflatten(0, index.shape).movedim(-1, 0)


def fitted(grid: Size, window: Size, shifted: bool) -> tuple[Size, Size]:
    """The window and its shift on a map; there is no shift along an axis that one window covers.

    >>> fitted((4, 14, 7), (8, 7, 7), shifted=True)
    ((4, 7, 7), (0, 3, 0))
    """
    pairs = list(zip(grid, window, strict=True))
    fits = _size([min(length, edge) for length, edge in pairs])
    return fits, _size([edge // 2 if shifted and length > edge else 0 for length, edge in pairs])


def windows(x: Tensor, window: Size) -> Tensor:
    """(B, T, H, W, C), multiples of the window -> (B, windows, positions, C)."""
    time, height, width = window
    x = x.unflatten(3, (-1, width)).unflatten(2, (-1, height)).unflatten(1, (-1, time))
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4, 6).flatten(1, 3)


def joined(x: Tensor, grid: Size, window: Size) -> Tensor:
    """The inverse of `windows`: (B, windows, positions, C) -> (B, T, H, W, C)."""
    counts = [length // edge for length, edge in zip(grid, window, strict=True)]
    x = x.unflatten(2, window).unflatten(1, counts)
    return x.permute(0, 1, 4, 2, 5, 3, 6, 7).flatten(5, 6).flatten(3, 4).flatten(1, 2)


def relative_index(window: Size) -> Tensor:
    """Row of the bias table for each pair of positions of a window, (N, N) int64."""
    axes = [torch.arange(edge) for edge in window]
    position = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)
    distance = position[:, :, None] - position[:, None, :]
    index = torch.zeros_like(distance[0])
    for axis, edge in zip(distance, window, strict=True):
        index = index * (2 * edge - 1) + axis + edge - 1
    return index


@constant
def shift_mask(grid: Size, window: Size, shift: Size, device: torch.device) -> Tensor:
    """-100 between positions that the cyclic shift brought together from opposite ends of the map
    (figure 3), 0 elsewhere; (windows, N, N) float32.
    """
    region = torch.zeros(grid, dtype=torch.int64, device=device)
    for axis, (length, step) in enumerate(zip(grid, shift, strict=True)):
        wrapped = torch.arange(length, device=device) >= length - step
        region = 2 * region + wrapped.view([-1 if other == axis else 1 for other in range(3)])
    region = windows(region[None, ..., None], window)[0, :, :, 0]
    apart = region[:, :, None] != region[:, None, :]
    return torch.zeros(apart.shape, device=device).masked_fill(apart, -100.0)


def _padded(x: Tensor, multiple: Size) -> Tensor:
    """(B, T, H, W, C), zero-padded at the far ends to multiples of a size."""
    missing = [-length % edge for length, edge in zip(x.shape[1:4], multiple, strict=True)]
    if not any(missing):
        return x
    return F.pad(x, (0, 0, 0, missing[2], 0, missing[1], 0, missing[0]))


def _size(values: Sequence[int]) -> Size:
    time, height, width = values
    return time, height, width


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
