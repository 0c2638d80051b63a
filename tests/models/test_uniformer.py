"""UniFormer gives the published numbers; its blocks do what the paper says."""

import pytest
import torch
from timm.layers import DropPath
from torch import nn

from vidrec.models.backbones.uniformer import Attention, UniFormer

SMALL = {"depth": [1, 2, 1, 2], "embed_dim": [8, 8, 16, 16], "head_dim": 8}


def small_net(**options):
    torch.manual_seed(0)
    return UniFormer(**SMALL, **options)


def test_attention_is_torchs():
    torch.manual_seed(0)
    ours = Attention(16, 4, qkv_bias=True, qk_scale=None, drop_rate=0.0, attn_drop_rate=0.0)
    theirs = nn.MultiheadAttention(16, 4, batch_first=True)
    nn.init.normal_(ours.qkv.bias)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.in_proj_bias.copy_(ours.qkv.bias)
        theirs.out_proj.load_state_dict(ours.proj.state_dict())
    x = torch.randn(2, 7, 16)
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0])


def test_early_stages_are_local_and_late_ones_global():
    net = small_net().eval()
    seen = {}
    for stage in (2, 3):
        block = net.get_submodule(f"blocks{stage}.0")
        x = torch.randn(1, block.norm1.weight.numel(), 9, 15, 15, requires_grad=True)
        block(x)[0, 0, 0, 0, 0].backward()
        seen[stage] = x.grad.abs().amax(dim=1)[0] > 0
    # 5x5x5 after 3x3x3 reaches three positions; the perceptron none.
    assert seen[2][:4, :4, :4].all()
    for beyond in (seen[2][4:], seen[2][:, 4:], seen[2][..., 4:]):
        assert not beyond.any()
    assert seen[3].all()


def test_later_blocks_are_left_out_more_often():
    net = small_net(drop_path_rate=0.5)
    rates = [module.drop_prob for module in net.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_sizes_of_the_map():
    assert small_net()(torch.randn(2, 3, 6, 64, 96)).shape == (2, 16, 3, 2, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"depth": [1, 2]}, "four values"), ({"head_dim": 48}, "multiple of head_dim=48")],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        UniFormer(**options)
