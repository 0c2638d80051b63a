"""C2D: frames one by one, but for a maximum over pairs of them."""

import torch
from torch import nn

from vidrec.models.backbones.c2d import C2D


def clips(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_only_pairs_of_frames_see_each_other():
    net = C2D(18).eval()
    x = clips(2, 3, 5, 32, 32)
    with torch.no_grad():
        features = net(x)
        assert features.shape[:3] == (2, 512, 2)
        torch.testing.assert_close(net(x[:, :, 2:4]), features[:, :, 1:])
        torch.testing.assert_close(net(x[:, :, [1, 0, 3, 2]]), features)  # a maximum has no order


def test_pairs_are_pooled_after_the_first_stage():
    net = C2D(18, out_indices=[0, 3]).eval()
    x = clips(1, 3, 2, 32, 32)
    with torch.no_grad():
        stem = nn.functional.max_pool2d(net.conv1(x[0].transpose(0, 1)), 3, 2)
        first = net.layer1(stem).amax(dim=0)
        expected = net.layer4(net.layer3(net.layer2(first[None])))
        maps = net(x)
    torch.testing.assert_close(maps[0][0, :, 0], first)
    torch.testing.assert_close(maps[1][0, :, 0], expected[0])
