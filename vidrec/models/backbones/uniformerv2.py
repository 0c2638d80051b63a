"""UniFormerV2 (Li et al., ICCV 2023): an image transformer with added relations over time.

Tokens of a clip are (B, T, 1 + H * W, C): for each frame a class token, then the patches row by
row.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from vidrec.models.layers.attention import MultiheadAttention
from vidrec.models.layers.checkpoint import run_blocks
from vidrec.models.layers.drop_path import drop_path_rates
from vidrec.models.layers.patch_embed import embed_patches


class UniFormerV2(nn.Module):
    """CLIP's image transformer with local and global blocks of time (figure 2); by default the base
    network.

    input_resolution: height and width of the frames, in pixels.
    width, layers, heads: channels, blocks and attention heads of the image transformer.
    backbone_drop_path_rate, drop_path_rate: of its last block, and of the last global block; they
        grow linearly from 0 over the blocks.
    temporal_downsample: patches overlap in time and halve the frame rate.
    no_lmhra: leave out the local blocks' relations over time.
    double_lmhra: have relations over time before and after the attention, not only before it.
    dw_reduction: channels of a block over those of its relations over time.
    return_list: blocks (from 0) that are followed by a global block, which sees all frames.
    n_head, mlp_factor: of global blocks: attention heads, hidden channels over channels.
    mlp_dropout: of each global block.
    with_cp: inner activations of blocks are recomputed in the backward pass instead of stored.
    """

    block_names: ClassVar[str] = r"transformer\.resblocks\.\d+"  # see `VisionTransformer`

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        input_resolution: int = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        width: int = 768,
        layers: int = 12,
        heads: int = 12,
        backbone_drop_path_rate: float = 0.0,
        temporal_downsample: bool = False,
        no_lmhra: bool = False,
        double_lmhra: bool = True,
        dw_reduction: float = 1.5,
        return_list: Sequence[int] = (8, 9, 10, 11),
        n_head: int = 12,
        mlp_factor: float = 4.0,
        drop_path_rate: float = 0.0,
        mlp_dropout: Sequence[float] = (0.5, 0.5, 0.5, 0.5),
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        if len(mlp_dropout) != len(return_list):
            raise ValueError(
                f"UniFormerV2 return_list={list(return_list)} and mlp_dropout={list(mlp_dropout)} "
                "differ in length; give one value for each global block"
            )
        if not return_list or not set(return_list) <= set(range(layers)):
            raise ValueError(
                f"UniFormerV2 return_list={list(return_list)}: give numbers of the {layers} "
                f"blocks, 0 to {layers - 1}"
            )
        self.out_channels = width
        self.grid_size = input_resolution // patch_size
        self.temporal_downsample = temporal_downsample
        scale = width**-0.5
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(1 + self.grid_size**2, width))
        time, stride, padding = (3, 2, 1) if temporal_downsample else (1, 1, 0)
        self.conv1 = nn.Conv3d(
            in_channels,
            width,
            (time, patch_size, patch_size),
            (stride, patch_size, patch_size),
            (padding, 0, 0),
            bias=False,
        )
        self.ln_pre = nn.LayerNorm(width)

        def local_block(drop_path: float) -> LocalBlock:
            num_relations = 0 if no_lmhra else 1 + double_lmhra
            return LocalBlock(width, heads, num_relations, dw_reduction, drop_path)

        self.transformer = Transformer(
            width,
            [local_block(rate) for rate in drop_path_rates(backbone_drop_path_rate, layers)],
            [
                GlobalBlock(width, n_head, round(mlp_factor * width), dropout, rate)
                for dropout, rate in zip(
                    mlp_dropout, drop_path_rates(drop_path_rate, len(return_list)), strict=True
                )
            ],
            list(return_list),
            with_cp,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, T, H, W) -> (B, width)."""
        if self.temporal_downsample:
            patches = self.conv1(x).movedim(1, -1)
        else:
            patches = embed_patches(x, self.conv1.weight, None)
        grid = (patches.shape[2], patches.shape[3])
        if grid != (self.grid_size, self.grid_size):
            raise ValueError(
                f"UniFormerV2 has positions for {self.grid_size} x {self.grid_size} patches, but "
                f"the frames have {grid[0]} x {grid[1]}; set input_resolution to the crops' size"
            )
        patches = patches.flatten(2, 3)
        cls_token = self.class_embedding.to(patches.dtype).expand(*patches.shape[:2], 1, -1)
        tokens = torch.cat([cls_token, patches], dim=2) + self.positional_embedding
        return self.transformer(self.ln_pre(tokens), grid)


class Transformer(nn.Module):
    """The image transformer, whose last blocks each feed a global block.

    One query for the whole clip passes through the global blocks (section 3.4); `balance` weights
    it against the mean of the frames' class tokens.
    """

    def __init__(
        self,
        channels: int,
        local_blocks: Sequence["LocalBlock"],
        global_blocks: Sequence["GlobalBlock"],
        return_list: list[int],
        with_cp: bool,
    ) -> None:
        super().__init__()
        self.return_list = return_list
        self.with_cp = with_cp
        self.temporal_cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.balance = nn.Parameter(torch.zeros(channels))
        self.resblocks = nn.ModuleList(local_blocks)
        self.dpe = nn.ModuleList(
            nn.Conv3d(channels, channels, 3, padding=1, groups=channels) for _ in return_list
        )
        self.dec = nn.ModuleList(global_blocks)
        self.norm = nn.LayerNorm(channels)
        for name, parameter in self.dpe.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, T, 1 + H * W, C), (H, W) -> (B, C)."""
        query = self.temporal_cls_token.expand(x.shape[0], -1, -1)
        for index, block in enumerate(self.resblocks):
            x = run_blocks([block], x, self.with_cp and self.training)
            if index in self.return_list:
                stage = self.return_list.index(index)
                # Equation 7: positions by depth-wise convolution over the patches.
                patches = x[:, :, 1:].unflatten(2, grid).movedim(-1, 1)
                positions = self.dpe[stage](patches).movedim(1, -1).flatten(2, 3)
                seen = torch.cat([x[:, :, :1], x[:, :, 1:] + positions], dim=2)
                query = self.dec[stage](query, seen.flatten(1, 2))
        weight = self.balance.sigmoid()
        frames = x[:, :, 0].mean(dim=1)
        return self.norm((1 - weight) * query[:, 0] + weight * frames)


class LocalBlock(nn.Module):
    """A block of the image transformer, with `num_relations` local relations over time: none, one
    before the attention, or one before and one after it (section 3.3).
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        num_relations: int,
        dw_reduction: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.num_relations = num_relations
        if num_relations >= 1:
            self.lmhra1 = LocalRelation(channels, int(channels // dw_reduction))
        if num_relations == 2:
            self.lmhra2 = LocalRelation(channels, int(channels // dw_reduction))
        self.attn = MultiheadAttention(channels, num_heads)
        self.ln_1 = nn.LayerNorm(channels)
        self.mlp = MLP(channels, 4 * channels)
        self.ln_2 = nn.LayerNorm(channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 1 + H * W, C) -> the same shape."""
        if self.num_relations >= 1:
            x = self._related(x, self.lmhra1)
        frames = self.attn(self.ln_1(x).flatten(0, 1)).view(x.shape)
        x = x + self.drop_path(frames)
        if self.num_relations == 2:
            x = self._related(x, self.lmhra2)
        return x + self.drop_path(self.mlp(self.ln_2(x)))

    def _related(self, x: Tensor, relation: nn.Module) -> Tensor:
        """Class tokens are left as they are."""
        patches = x[:, :, 1:]
        return torch.cat([x[:, :, :1], patches + self.drop_path(relation(patches))], dim=2)


class LocalRelation(nn.Module):
    """Relations of a patch to its place in the previous and the next frame (equation 4)."""

    def __init__(self, channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.pos_embed = nn.Sequential(
            nn.BatchNorm3d(channels),
            nn.Conv3d(channels, hidden_channels, 1),
            nn.Conv3d(
                hidden_channels, hidden_channels, (3, 1, 1), 1, (1, 0, 0), groups=hidden_channels
            ),
            nn.Conv3d(hidden_channels, channels, 1),
        )
        _start_at_zero(self.pos_embed[3])

    def forward(self, patches: Tensor) -> Tensor:
        """(B, T, P, C) -> the same shape."""
        maps = patches.permute(0, 3, 1, 2).unsqueeze(-1)  # the convolutions are 1x1 in space
        return self.pos_embed(maps).squeeze(-1).permute(0, 2, 3, 1)


class GlobalBlock(nn.Module):
    """A query attends to all tokens of a clip (equations 6 to 9)."""

    def __init__(
        self,
        channels: int,
        num_heads: int,
        hidden_channels: int,
        dropout: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.attn = MultiheadAttention(channels, num_heads)
        self.ln_1 = nn.LayerNorm(channels)
        self.mlp = MLP(channels, hidden_channels, dropout)
        self.ln_2 = nn.LayerNorm(channels)
        self.ln_3 = nn.LayerNorm(channels)
        self.drop_path = DropPath(drop_path)
        # Section 3.4: the block starts as the identity.
        _start_at_zero(self.attn.out_proj)
        _start_at_zero(self.mlp.c_proj)
        nn.init.xavier_uniform_(self.mlp.c_fc.weight)

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        """(B, 1, C), (B, L, C) -> (B, 1, C)."""
        query = query + self.drop_path(self.attn(self.ln_1(query), self.ln_3(tokens)))
        return query + self.drop_path(self.mlp(self.ln_2(query)))


class MLP(nn.Module):
    """The multilayer perceptron of CLIP, with its approximation of GELU."""

    def __init__(self, channels: int, hidden_channels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.c_fc = nn.Linear(channels, hidden_channels)
        self.dropout = nn.Dropout(dropout)
        self.c_proj = nn.Linear(hidden_channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(..., channels) -> the same shape."""
        x = self.c_fc(x)
        return self.c_proj(self.dropout(x * (1.702 * x).sigmoid()))


def _start_at_zero(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
