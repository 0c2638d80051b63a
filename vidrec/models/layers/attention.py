"""Multi-head attention (Vaswani et al., 2017, section 3.2.2) on PyTorch's fused kernels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MultiheadAttention(nn.Module):
    """`nn.MultiheadAttention` for tokens (B, L, C), with the same parameter names.

    Queries, keys and values reach the fused kernel as views of one product, without copies.
    """

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        check_heads(channels, num_heads)
        self.num_heads = num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        """Tokens (B, L, C) attend to each other, or to `memory` (B, S, C) -> (B, L, C)."""
        weight, bias = self.in_proj_weight, self.in_proj_bias
        if memory is None:
            q, k, v = split_heads(F.linear(x, weight, bias), 3, self.num_heads)
        else:
            channels = x.shape[-1]
            (q,) = split_heads(F.linear(x, weight[:channels], bias[:channels]), 1, self.num_heads)
            projected = F.linear(memory, weight[channels:], bias[channels:])
            k, v = split_heads(projected, 2, self.num_heads)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(x.transpose(1, 2).flatten(2))


def split_heads(projected: Tensor, parts: int, num_heads: int) -> tuple[Tensor, ...]:
    """(B, L, parts * C) -> `parts` views (B, num_heads, L, C / num_heads)."""
    return projected.unflatten(-1, (parts, num_heads, -1)).permute(2, 0, 3, 1, 4).unbind()


def check_heads(channels: int, num_heads: int) -> None:
    """Raises ValueError if the heads do not divide the channels."""
    if num_heads < 1 or channels % num_heads:
        raise ValueError(
            f"{channels} channels cannot be divided into {num_heads} attention heads; choose a "
            "number of heads that divides them"
        )
