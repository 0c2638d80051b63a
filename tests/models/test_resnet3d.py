"""3D residual networks against torchvision's and, on single frames, 2D ones; what options do."""

import re

import pytest
import torch
from torch import nn
from torchvision.models.video import r3d_18

from vidrec.models.backbones.resnet import ResNet
from vidrec.models.backbones.resnet3d import ResNet3d, ResNet3dSlowOnly
from vidrec.models.layers.freeze import batch_norms


def clips(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def settled(net):
    """Statistics and weights of BatchNorm as after training, so that none of them can be missed."""
    torch.manual_seed(1)
    for norm in batch_norms(net):
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
        nn.init.normal_(norm.running_mean, std=0.1)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.1)
    return net.eval()


def tiny(kind=ResNet3d, **options):
    return settled(kind(**{"depth": 18, "base_channels": 4} | options))


def test_fully_inflated_network_is_that_of_torchvision():
    reference = settled(r3d_18())
    net = ResNet3d(18, with_pool1=False, with_pool2=False, temporal_strides=(1, 2, 2, 2)).eval()
    renamed = {}
    for name, value in reference.state_dict().items():
        # stem.0 -> conv1.conv; layer1.0.conv1.0.0 and conv1.1 -> conv1.conv and bn
        name = re.sub(r"^stem\.0\.", "conv1.conv.", name)
        name = re.sub(r"^stem\.1\.", "conv1.bn.", name)
        name = re.sub(r"(conv\d)\.0\.0?\.?(?=weight)", r"\1.conv.", name)
        name = re.sub(r"(conv\d)\.1\.", r"\1.bn.", name)
        name = re.sub(r"downsample\.0\.", "downsample.conv.", name)
        name = re.sub(r"downsample\.1\.", "downsample.bn.", name)
        renamed[name] = value
    missing, unexpected = net.load_state_dict(renamed, strict=False)
    assert not missing
    assert unexpected == ["fc.weight", "fc.bias"]
    reference.avgpool, reference.fc = nn.Identity(), nn.Identity()
    x = clips(1, 3, 4, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(net(x).flatten(1), reference(x))


@pytest.mark.parametrize("depth", [18, 50])
def test_without_inflation_every_frame_is_an_image(depth):
    image_net = settled(ResNet(depth)).double()
    net = ResNet3dSlowOnly(depth, inflate=(0, 0, 0, 0)).double().eval()
    state = image_net.state_dict()
    net.load_state_dict({n: v[:, :, None] if v.ndim == 4 else v for n, v in state.items()})
    x = clips(2, 3, 3, 32, 32).double()
    with torch.no_grad():
        expected = torch.stack([image_net(frame) for frame in x.unbind(2)], dim=2)
        torch.testing.assert_close(net(x), expected)


def frames_reached(map_of_first_change):
    """Which frames of a map differ at all."""
    return map_of_first_change.abs().amax(dim=(0, 1, 3, 4)).nonzero().flatten().tolist()


def test_slow_only_convolves_over_time_from_the_third_stage_on():
    net = tiny(ResNet3dSlowOnly, depth=50, out_indices=(0, 1, 2, 3))
    x = clips(1, 3, 9, 32, 32)
    changed = x.clone()
    changed[:, :, 4] += 1
    with torch.no_grad():
        differences = [a - b for a, b in zip(net(x), net(changed), strict=True)]
    first, second, third, fourth = (frames_reached(d) for d in differences)
    assert first == second == [4]
    assert third == fourth == list(range(9))  # six blocks of 3x1x1


def test_flags_per_block_say_which_convolve_over_time():
    net = tiny(
        depth=50, num_stages=1, inflate=[[1, 0, 1]], with_pool2=False, conv1_kernel=(1, 7, 7)
    )
    kernels = [tuple(block.conv1.conv.kernel_size) for block in net.layer1]
    assert kernels == [(3, 1, 1), (1, 1, 1), (3, 1, 1)]
    x = clips(1, 3, 9, 32, 32)
    changed = x.clone()
    changed[:, :, 4] += 1
    with torch.no_grad():
        assert frames_reached(net(x) - net(changed)) == [2, 3, 4, 5, 6]


def test_sizes_follow_from_the_strides():
    x = clips(1, 3, 8, 64, 96)
    shapes = [tuple(m.shape[1:]) for m in tiny(out_indices=(0, 1, 2, 3))(x)]
    assert shapes == [(4, 4, 16, 24), (8, 4, 8, 12), (16, 4, 4, 6), (32, 4, 2, 3)]
    net = tiny(ResNet3dSlowOnly, spatial_strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2))
    assert net(x).shape == (1, 32, 8, 4, 6)
    net = tiny(conv1_stride_t=2, pool1_stride_t=2, with_pool2=False, temporal_strides=(1, 2, 1, 1))
    assert net(x).shape == (1, 32, 1, 2, 3)
    assert net.out_channels == 32


def test_second_pooling_takes_the_larger_of_two_frames():
    net, without = tiny(num_stages=1), tiny(num_stages=1, with_pool2=False)
    without.load_state_dict(net.state_dict())
    x = clips(1, 3, 5, 32, 32)
    every = without(x)
    torch.testing.assert_close(net(x), torch.maximum(every[:, :, 0:4:2], every[:, :, 1:4:2]))


def test_blocks_start_as_the_identity():
    net = ResNet3d(18, base_channels=4, num_stages=1, with_pool2=False).eval()
    x = clips(1, 3, 2, 32, 32)
    torch.testing.assert_close(net(x), net.maxpool(net.conv1(x)))


def test_non_local_blocks_stand_after_the_blocks_that_are_named():
    net = ResNet3d(18, base_channels=4, non_local=(0, [0, 1], 1, 0))
    found = {n for n, m in net.named_modules() if n.endswith("non_local_block.theta")}
    after = ("layer2.1", "layer3.0", "layer3.1")
    assert found == {f"{block}.non_local_block.theta" for block in after}
    plain = ResNet3d(18, base_channels=4)
    plain.load_state_dict({n: v for n, v in net.state_dict().items() if "non_local" not in n})
    x = clips(1, 3, 2, 64, 64)
    torch.testing.assert_close(net.eval()(x), plain.eval()(x))  # they start as the identity


def test_memory_format_is_kept():
    net = tiny().to(memory_format=torch.channels_last_3d)
    x = clips(2, 3, 4, 32, 64)
    last = net(x.to(memory_format=torch.channels_last_3d))
    assert last.is_contiguous(memory_format=torch.channels_last_3d)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="depth=49"):
        ResNet3d(49)
    with pytest.raises(ValueError, match=r"inflate.*\[1, 0\].*2 values for 3 blocks"):
        ResNet3d(50, inflate=([1, 0], 0, 0, 0))
    with pytest.raises(ValueError, match=r"out_indices=\[4\]"):
        ResNet3dSlowOnly(18, out_indices=[4])
    with pytest.raises(ValueError, match=r"temporal_strides=\[1, 2\].*4 stages"):
        ResNet3d(18, temporal_strides=[1, 2])
