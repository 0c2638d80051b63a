"""Cutting clips into patches that do not overlap, and projecting each to a token."""

import torch.nn.functional as F
from torch import Tensor


def embed_patches(clips: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution whose stride is its kernel, as one matrix product.

    clips: (B, C, T, H, W). weight: (D, C, t, p, q). Returns tokens (B, T / t, H / p, W / q, D);
    what does not fill a patch at the end of an axis is left out, as by a convolution. Frames that
    are channels-last in memory are copied in runs of a patch's row.
    """
    sizes = weight.shape[2:]
    for axis, size in zip((2, 3, 4), sizes, strict=True):
        length = clips.shape[axis]
        if length < size:
            raise ValueError(
                f"a clip of {tuple(clips.shape[2:])} frames, rows and columns is smaller than a "
                f"patch of {tuple(sizes)}"
            )
        clips = clips.narrow(axis, 0, length - length % size)
    for axis, size in zip((4, 3, 2), reversed(sizes), strict=True):
        clips = clips.unflatten(axis, (-1, size))
    # (B, C, T', t, H', p, W', q) -> (B, T', H', W', t * p * q * C)
    patches = clips.permute(0, 2, 4, 6, 3, 5, 7, 1).flatten(4)
    return F.linear(patches, weight.permute(0, 2, 3, 4, 1).flatten(1), bias)
