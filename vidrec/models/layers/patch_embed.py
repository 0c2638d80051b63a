"""Linear projection of the non-overlapping patches of a clip to tokens."""

import torch.nn.functional as F
from torch import Tensor


def embed_patches(clips: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution whose stride is its kernel size, as one matrix product.

    clips: (B, C, T, H, W). weight: (D, C, t, p, q). Returns tokens (B, T / t, H / p, W / q, D). As
    in a convolution, incomplete patches at the end of an axis are dropped. Frames that are
    channels-last in memory are copied in runs of one patch row.

    Raises ValueError if the clip is smaller than a patch.
    """
    sizes = weight.shape[2:]
    for axis, size in zip((2, 3, 4), sizes, strict=True):
        length = clips.shape[axis]
        if length < size:
            raise ValueError(
                f"a clip of {tuple(clips.shape[2:])} (frames, height, width) is smaller than a "
                f"patch of {tuple(sizes)}"
            )
        clips = clips.narrow(axis, 0, length - length % size)
    for axis, size in zip((4, 3, 2), reversed(sizes), strict=True):
        clips = clips.unflatten(axis, (-1, size))
    # (B, C, T', t, H', p, W', q) -> (B, T', H', W', t * p * q * C)
    patches = clips.permute(0, 2, 4, 6, 3, 5, 7, 1).flatten(4)
    return F.linear(patches, weight.permute(0, 2, 3, 4, 1).flatten(1), bias)
