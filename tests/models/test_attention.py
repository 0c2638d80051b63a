"""Attention and patches by matrix products give what PyTorch's own layers give."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vidrec.models.layers.attention import MultiheadAttention
from vidrec.models.layers.patch_embed import embed_patches


@pytest.mark.parametrize("memory", [None, torch.randn(2, 5, 12)])
def test_attention_is_torchs_under_the_same_names(memory):
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter)
    ours = MultiheadAttention(12, 3)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 7, 12)
    seen = x if memory is None else memory
    expected = theirs(x, seen, seen, need_weights=False)[0]
    torch.testing.assert_close(ours(x) if memory is None else ours(x, memory), expected)


def test_heads_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(ValueError, match="12 channels cannot be divided into 5 attention heads"):
        MultiheadAttention(12, 5)


@pytest.mark.parametrize("size", [(4, 6, 9), (5, 7, 11)])  # the second leaves a rest everywhere
def test_patches_are_a_convolution_with_the_stride_of_its_kernel(size):
    torch.manual_seed(0)
    conv = nn.Conv3d(3, 8, (2, 3, 3), (2, 3, 3))
    frames_last = torch.randn(2, *size, 3).movedim(-1, 1)
    for clips in (frames_last, frames_last.contiguous()):
        tokens = embed_patches(clips, conv.weight, conv.bias)
        expected = F.conv3d(clips, conv.weight, conv.bias, conv.stride).movedim(1, -1)
        torch.testing.assert_close(tokens, expected)


def test_clips_smaller_than_a_patch_are_refused():
    with pytest.raises(ValueError, match=r"\(1, 6, 6\).*smaller than a patch of \(2, 3, 3\)"):
        embed_patches(torch.zeros(1, 3, 1, 6, 6), torch.zeros(8, 3, 2, 3, 3), None)
