"""C3D by hand."""

import torch
import torch.nn.functional as F
from torch import nn

from vidrec.models.backbones.c3d import C3D


def test_network_by_hand():
    torch.manual_seed(0)
    net = C3D(dropout_ratio=0.9, out_dim=2048).eval()
    for layer in (net.fc6, net.fc7):
        nn.init.normal_(layer.weight, std=0.05)
        nn.init.normal_(layer.bias)
    x = torch.randn(1, 3, 16, 32, 32)

    def conv(x, name):
        layer = net.get_submodule(f"conv{name}.conv")
        return F.conv3d(x, layer.weight, layer.bias, padding=1).relu()

    with torch.no_grad():
        y = F.max_pool3d(conv(x, "1a"), (1, 2, 2))
        y = F.max_pool3d(conv(y, "2a"), 2)
        for number in "34":
            y = F.max_pool3d(conv(conv(y, f"{number}a"), f"{number}b"), 2)
        y = conv(conv(y, "5a"), "5b")
        assert y.shape == (1, 512, 2, 2, 2)
        # Padded by one, each window of space holds one value; of time, both.
        y = y.amax(dim=2).flatten(1)
        y = F.linear(y, net.fc6.weight, net.fc6.bias).relu()
        y = F.linear(y, net.fc7.weight, net.fc7.bias).relu()
        torch.testing.assert_close(net(x), y[:, :, None, None, None])
