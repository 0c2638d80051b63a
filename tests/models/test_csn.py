"""Channel-separated networks: which of their convolutions mix channels, and what is frozen."""

import pytest
import torch
from torch import nn

from vidrec.models.backbones.csn import ResNet3dCSN
from vidrec.models.layers.freeze import batch_norms


@pytest.fixture(scope="module")
def nets():
    torch.manual_seed(0)
    return {mode: ResNet3dCSN(50, mode, norm_eval=True, bn_frozen=True) for mode in ("ir", "ip")}


@pytest.mark.parametrize("mode", ["ir", "ip"])
def test_convolutions_over_time_keep_channels_apart(nets, mode):
    blocks = [block for stage in nets[mode].stages() for block in stage]
    for conv in (m for block in blocks for m in block.modules() if isinstance(m, nn.Conv3d)):
        over_time = conv.kernel_size[0] > 1
        assert conv.groups == (conv.in_channels if over_time else 1)
        assert conv.kernel_size == ((3, 3, 3) if over_time else (1, 1, 1))


@pytest.mark.parametrize(("mode", "mixes"), [("ir", False), ("ip", True)])
def test_interaction_preserved_blocks_mix_channels_before(nets, mode, mixes):
    conv2 = nets[mode].layer1[0].conv2.eval()
    x = torch.randn(1, 64, 3, 4, 4)
    changed = x.clone()
    changed[:, 0] += 1
    with torch.no_grad():
        differing = (conv2(x) - conv2(changed)).abs().amax(dim=(0, 2, 3, 4)) > 1e-6
    assert (differing.sum() > 1) == mixes


def test_sizes_and_frozen_norms(nets):
    net = nets["ir"].train()
    with torch.no_grad():
        assert net(torch.randn(1, 3, 8, 32, 32)).shape == (1, 2048, 1, 1, 1)
    for norm in batch_norms(net):
        assert not norm.training
        assert not norm.weight.requires_grad
        assert norm.eps == 1e-3
    assert all(m.weight.requires_grad for m in net.modules() if isinstance(m, nn.Conv3d))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="depth=18 has no bottlenecks"):
        ResNet3dCSN(18)
    with pytest.raises(ValueError, match="bottleneck_mode='dw'"):
        ResNet3dCSN(50, "dw")
