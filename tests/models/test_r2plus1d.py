"""R(2+1)D against torchvision's, and how many weights its convolutions have."""

import re

import pytest
import torch
from torch import nn
from torchvision.models.video import r2plus1d_18

from vidrec.models.backbones.r2plus1d import Conv2Plus1d, ResNet2Plus1d
from vidrec.models.layers.freeze import batch_norms


def test_stages_are_those_of_torchvision():
    """Stem and shortcuts differ: torchvision's have other widths, or one convolution alone."""
    torch.manual_seed(0)
    reference, net = r2plus1d_18().eval(), ResNet2Plus1d(18).eval()
    for norm in batch_norms(net):
        norm.eps = 1e-5
    state = {}
    for name, value in reference.layer1.state_dict().items():
        name = re.sub(r"(conv\d)\.0\.0\.", r"\1.conv.conv_s.", name)
        name = re.sub(r"(conv\d)\.0\.1\.", r"\1.conv.bn_s.", name)
        name = re.sub(r"(conv\d)\.0\.3\.", r"\1.conv.conv_t.", name)
        state[re.sub(r"(conv\d)\.1\.", r"\1.bn.", name)] = value
    net.layer1.load_state_dict(state)
    x = torch.randn(1, 64, 3, 6, 6)
    with torch.no_grad():
        torch.testing.assert_close(net.layer1(x), reference.layer1(x))


@pytest.mark.parametrize(("channels", "width"), [((64, 64), 144), ((64, 128), 230)])
def test_factorised_convolution_has_the_weights_of_the_whole_one(channels, width):
    conv = Conv2Plus1d(*channels, (3, 3, 3), (1, 1, 1), (1, 1, 1))
    assert conv.conv_s.out_channels == width  # section 3.5
    ours = conv.conv_s.weight.numel() + conv.conv_t.weight.numel()
    whole = nn.Conv3d(*channels, 3, bias=False).weight.numel()
    assert whole * 0.99 < ours <= whole


def test_later_stages_halve_the_frames():
    net = ResNet2Plus1d(18, out_indices=(0, 1, 2, 3)).eval()
    with torch.no_grad():
        maps = net(torch.randn(1, 3, 8, 32, 32))
    assert [m.shape[2] for m in maps] == [8, 4, 2, 1]
    assert [m.shape[3] for m in maps] == [8, 4, 2, 1]
