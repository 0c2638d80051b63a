"""What the pathways of SlowFast see, and what joins them."""

import pytest
import torch
from torch import nn

from vidrec.models.backbones.resnet3d import ResNet3d
from vidrec.models.backbones.slowfast import ResNet3dSlowFast, SlowPathway
from vidrec.models.heads.slowfast import SlowFastHead
from vidrec.models.layers.freeze import batch_norms


def slowfast(resample_rate=8, speed_ratio=4, channel_ratio=4, **slow):
    torch.manual_seed(0)
    net = ResNet3dSlowFast(
        SlowPathway(18, speed_ratio, channel_ratio, base_channels=16, **slow),
        ResNet3d(18, base_channels=4, conv1_kernel=(5, 7, 7), with_pool2=False),
        resample_rate,
        speed_ratio,
        channel_ratio,
    ).eval()
    for norm in batch_norms(net):  # else blocks start as the identity
        nn.init.ones_(norm.weight)
    return net


def clips(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def test_sizes_of_both_pathways():
    net = slowfast()
    slow, fast = net(clips(2, 3, 16, 64, 32))
    assert slow.shape == (2, 128, 2, 2, 1)
    assert fast.shape == (2, 32, 8, 2, 1)
    assert net.out_channels == 160


def test_pathways_see_every_so_many_frames():
    net = slowfast()
    x = clips(1, 3, 16, 32, 32)
    seen = {}
    for name in ("slow_path", "fast_path"):
        net.get_submodule(f"{name}.conv1").register_forward_hook(
            lambda _, given, __, name=name: seen.update({name: given[0]})
        )
    with torch.no_grad():
        net(x)
        assert torch.equal(seen["slow_path"], x[:, :, [0, 8]])
        assert torch.equal(seen["fast_path"], x[:, :, [0, 2, 4, 6, 8, 10, 12, 14]])
        net(clips(1, 3, 23, 32, 32))  # an incomplete group at the end is left out
    assert seen["slow_path"].shape[2] == 2
    assert seen["fast_path"].shape[2] == 8


def test_the_fast_pathway_informs_the_slow_one_but_not_the_reverse():
    net = slowfast()
    x = clips(1, 3, 16, 32, 32)
    changed = x.clone()
    changed[:, :, 4] += 1  # that only the fast pathway sees
    with torch.no_grad():
        before, after = net(x), net(changed)
        assert not torch.equal(before[0], after[0])
        for name, lateral in net.slow_path.named_modules():
            if name.endswith("_lateral"):
                nn.init.zeros_(lateral.conv.weight)
        before, after = net(x), net(changed)
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


@pytest.mark.parametrize("after", ["conv1", "layer1", "layer2", "layer3"])
def test_every_stage_has_a_lateral_connection(after):
    net = slowfast()
    x = clips(1, 3, 16, 32, 32)
    with torch.no_grad():
        before = net(x)[0]
        nn.init.zeros_(net.slow_path.get_submodule(f"{after}_lateral.conv").weight)
        assert not torch.equal(net(x)[0], before)


def test_lateral_norm_adds_a_norm_and_a_relu():
    lateral = slowfast(lateral_norm=True).slow_path.conv1_lateral
    x = clips(1, 4, 8, 3, 3)
    with torch.no_grad():
        expected = nn.functional.conv3d(x, lateral.conv.weight, None, (4, 1, 1), (2, 0, 0))
        expected = lateral.bn(expected).relu()
        torch.testing.assert_close(lateral(x), expected)


def test_head_averages_fast_channels_before_slow_ones():
    head = SlowFastHead(2, 5, dropout_ratio=0.9).eval()
    slow, fast = clips(1, 3, 2, 2, 2), clips(1, 2, 8, 2, 2)
    averages = [fast[0, 0].mean(), fast[0, 1].mean(), *(slow[0, c].mean() for c in range(3))]
    expected = head.fc_cls.weight @ torch.stack(averages) + head.fc_cls.bias
    torch.testing.assert_close(head((slow, fast))[0], expected)


def test_memory_format_is_kept():
    net = slowfast().to(memory_format=torch.channels_last_3d)
    x = clips(2, 3, 16, 64, 64).to(memory_format=torch.channels_last_3d)
    with torch.no_grad():
        for features in net(x):
            assert features.is_contiguous(memory_format=torch.channels_last_3d)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="resample_rate=6 is not a multiple of speed_ratio=4"):
        slowfast(resample_rate=6)
    with pytest.raises(ValueError, match=r"channel_ratio=8, but base_channels.* are 16 and 4"):
        slowfast(channel_ratio=8)
    with pytest.raises(ValueError, match="fusion_kernel=4 is even"):
        slowfast(fusion_kernel=4)
    with pytest.raises(ValueError, match="depth=51"):
        SlowPathway(51)
