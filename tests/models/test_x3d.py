"""X3D: widths and depths of the paper, and its blocks by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vidrec.models.backbones.x3d import X3D, BlockX3D, SqueezeExcite, round_width
from vidrec.models.heads.x3d import X3DHead
from vidrec.models.layers.freeze import batch_norms


def test_widths_and_depths_are_those_of_the_paper():
    """X3D-S and -M: table 3a of the paper."""
    net = X3D(1, 2.25, 2.2)
    stages = [net.layer1, net.layer2, net.layer3, net.layer4]
    assert [len(stage) for stage in stages] == [3, 5, 11, 7]
    inner = [stage[0].conv1.conv.out_channels for stage in stages]
    assert inner == [54, 108, 216, 432]
    assert [stage[0].conv3.conv.out_channels for stage in stages] == [24, 48, 96, 192]
    assert net.out_channels == 432


@pytest.mark.parametrize(
    ("width", "factor", "expected"),
    [(24, 1, 24), (54, 1 / 16, 8), (432, 1 / 16, 32), (24, 2.9, 72), (100, 0.11, 16), (8, 1.4, 16)],
)
def test_widths_are_multiples_of_eight_near_the_product(width, factor, expected):
    assert round_width(width, factor) == expected


def test_excitation_by_hand():
    torch.manual_seed(0)
    layer = SqueezeExcite(16, 1 / 2)
    x = torch.randn(2, 16, 2, 3, 3)
    averages = x.flatten(2).mean(2)
    hidden = F.linear(averages, layer.fc1.weight.flatten(1), layer.fc1.bias).relu()
    weights = F.linear(hidden, layer.fc2.weight.flatten(1), layer.fc2.bias).sigmoid()
    torch.testing.assert_close(layer(x), x * weights[:, :, None, None, None])


@pytest.mark.parametrize("use_swish", [True, False])
def test_block_by_hand(use_swish):
    torch.manual_seed(0)
    block = BlockX3D(8, 16, 8, 1, 1 / 2, use_swish).eval()
    for norm in batch_norms(block):
        nn.init.normal_(norm.weight)
    x = torch.randn(1, 8, 3, 4, 4)
    activation = F.silu if use_swish else F.relu
    with torch.no_grad():
        y = block.conv1.bn(block.conv1.conv(x)).relu()
        y = block.conv2.bn(F.conv3d(y, block.conv2.conv.weight, padding=1, groups=16))
        y = block.conv3.bn(block.conv3.conv(activation(block.se_module(y))))
        torch.testing.assert_close(block(x), (x + y).relu())


def test_every_other_block_excites():
    net = X3D(1, 2.25, 2.2)
    assert [block.se_module is not None for block in net.layer2] == [True, False, True, False, True]
    assert all(block.se_module is None for block in X3D(se_ratio=None).layer3)


def test_frames_are_kept_and_space_shrinks():
    net = X3D(base_channels=8, gamma_d=0.2).eval()
    with torch.no_grad():
        assert net(torch.randn(1, 3, 5, 64, 96)).shape == (1, 64, 5, 2, 3)


def test_blocks_start_as_the_identity():
    block = X3D(base_channels=8).layer3[1].eval()
    x = torch.randn(1, 32, 2, 4, 4).relu()
    with torch.no_grad():
        torch.testing.assert_close(block(x), x)


def test_head_by_hand():
    torch.manual_seed(0)
    head = X3DHead(3, 4, mid_channels=6).eval()
    assert head.fc1.bias is None
    x = torch.randn(2, 4, 2, 3, 3)
    hidden = (x.flatten(2).mean(2) @ head.fc1.weight.T).relu()
    torch.testing.assert_close(head(x), hidden @ head.fc2.weight.T + head.fc2.bias)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="frozen_stages=5"):
        X3D(frozen_stages=5)
    with pytest.raises(ValueError, match=r"checkpoint_stages=\[0\]"):
        X3D(checkpoint_stages=[0])
