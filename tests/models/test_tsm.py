"""The temporal shift against hand-made cases, and where the networks have it."""

import copy
import re

import pytest
import torch
from torch import nn

from vidrec.models.backbones.mobilenet_v2 import MobileNetV2
from vidrec.models.backbones.mobileone import MobileOne
from vidrec.models.backbones.resnet import ResNet
from vidrec.models.backbones.tsm import MobileNetV2TSM, MobileOneTSM, ResNetTSM
from vidrec.models.heads.tsm import TSMHead
from vidrec.models.layers.temporal_shift import TemporalShift, temporal_shift


def frames(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_shift_by_hand():
    # Three frames of four channels; the value says frame and channel.
    x = torch.tensor([[1, 2, 3, 4], [11, 12, 13, 14], [21, 22, 23, 24]]).view(3, 4, 1, 1)
    shifted = temporal_shift(x, num_segments=3, shift_div=4)[:, :, 0, 0]
    assert shifted.tolist() == [[11, 0, 3, 4], [21, 2, 13, 14], [0, 12, 23, 24]]


def test_clips_do_not_see_each_other():
    x = frames(6, 8, 2, 2)
    together = temporal_shift(x, 3, 8)
    assert torch.equal(together, torch.cat([temporal_shift(clip, 3, 8) for clip in x.split(3)]))


def test_memory_format_is_kept():
    x = frames(8, 16, 5, 3)
    last = temporal_shift(x.contiguous(memory_format=torch.channels_last), 4, 8)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last, temporal_shift(x, 4, 8))
    assert temporal_shift(x, 4, 8).is_contiguous()


def test_fewer_channels_than_the_divisor_stay():
    x = frames(4, 3, 2, 2)
    assert torch.equal(temporal_shift(x, 4, 8), x)


def test_gradient_is_the_opposite_shift():
    x = frames(3, 4, 1, 1).requires_grad_()
    weight = torch.tensor([[1, 2, 3, 4], [11, 12, 13, 14], [21, 22, 23, 24]]).view(3, 4, 1, 1)
    (temporal_shift(x, 3, 4) * weight).sum().backward()
    assert x.grad[:, :, 0, 0].tolist() == [[0, 12, 3, 4], [1, 22, 13, 14], [11, 0, 23, 24]]


def without_shifts(name):
    return re.sub(r"\bnet\.", "", name)


@pytest.mark.parametrize(
    ("net", "plain", "num_shifts"),
    [
        (lambda: ResNetTSM(18, num_segments=2), lambda: ResNet(18), 8),
        (lambda: ResNetTSM(50, 2, shift_place="block"), lambda: ResNet(50), 16),
        # Every second block of ResNet-101's 3, 4, 23 and 3.
        (lambda: ResNetTSM(101, num_segments=2), lambda: ResNet(101), 2 + 2 + 12 + 2),
        # Blocks with a shortcut: 1, 2, 3, 2 and 2 of the stages with more than one.
        (lambda: MobileNetV2TSM(num_segments=2), lambda: MobileNetV2(), 10),
        (lambda: MobileOneTSM("s0", num_segments=2), lambda: MobileOne("s0"), 43),
    ],
)
def test_where_the_shifts_are(net, plain, num_shifts):
    with torch.device("meta"):
        net, plain = net(), plain()
    shifts = [module for module in net.modules() if isinstance(module, TemporalShift)]
    assert len(shifts) == num_shifts
    shapes = {without_shifts(name): t.shape for name, t in net.state_dict().items()}
    assert shapes == {name: t.shape for name, t in plain.state_dict().items()}


@pytest.mark.parametrize(
    ("net", "plain"),
    [
        (lambda: ResNetTSM(18, num_segments=4), lambda: ResNet(18)),
        (lambda: MobileNetV2TSM(num_segments=4, widen_factor=0.25), lambda: MobileNetV2(0.25)),
        (lambda: MobileOneTSM("s0", num_segments=4), lambda: MobileOne("s0")),
    ],
)
def test_shifts_are_all_that_differs_from_the_network_over_frames(net, plain):
    net, plain = net().eval(), plain().eval()
    plain.load_state_dict({without_shifts(n): t for n, t in net.state_dict().items()})
    x = frames(4, 3, 32, 32)
    assert not torch.allclose(net(x), net(x.flip(0)).flip(0), rtol=1e-3)
    for module in net.modules():
        if isinstance(module, TemporalShift):
            module.shift_div = 1000
    torch.testing.assert_close(net(x), plain(x))


def test_frame_sees_only_as_far_as_there_are_shifts():
    net = ResNetTSM(18, num_segments=16, num_stages=1).eval()
    x = frames(16, 3, 16, 16)
    changed = x.clone()
    changed[0] += 1
    difference = (net(changed) - net(x)).abs().amax(dim=(1, 2, 3))
    assert (difference[:3] > 0).all()  # two blocks, one frame each
    assert (difference[3:] == 0).all()


def test_deployed_form_keeps_its_shifts():
    net = MobileOneTSM("s0", num_segments=2).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2)
    x = frames(2, 3, 32, 32)
    expected = net.double()(x.double())
    deployed = copy.deepcopy(net).switch_to_deploy()
    torch.testing.assert_close(deployed(x.double()), expected, rtol=1e-9, atol=1e-9)
    built = MobileOneTSM("s0", num_segments=2, deploy=True)
    assert set(built.state_dict()) == set(deployed.state_dict())


def test_trains_in_bfloat16():
    net = ResNetTSM(18, num_segments=4).to(memory_format=torch.channels_last)
    x = frames(4, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        net.train()(x).sum().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_head_averages_scores_of_frames():
    head = TSMHead(5, 7, dropout_ratio=0.0)
    x = frames(6, 7, 2, 3)
    by_hand = torch.stack([head.fc_cls(frame.mean(dim=(1, 2))) for frame in x])
    torch.testing.assert_close(head(x, 3), torch.stack([by_hand[:3].mean(0), by_hand[3:].mean(0)]))


def test_head_drops_features_of_each_frame_apart():
    torch.manual_seed(0)
    head = TSMHead(1, 1, dropout_ratio=0.5).train()
    nn.init.ones_(head.fc_cls.weight)
    scores = {round(head(torch.ones(4, 1, 1, 1), 4).item(), 3) for _ in range(64)}
    assert scores == {0.0, 0.5, 1.0, 1.5, 2.0}


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="shift_place='before'"):
        ResNetTSM(18, shift_place="before")
    with pytest.raises(ValueError, match="shift_div=1"):
        ResNetTSM(18, shift_div=1)


def with_non_local(**options):
    net = ResNetTSM(18, 2, num_stages=2, non_local=[[0, 1], [0, 0]], **options).eval()
    norm = net.layer1[1].non_local_block.conv_out.bn
    nn.init.ones_(norm.weight)
    return net


@pytest.mark.parametrize("shift_place", ["blockres", "block"])
def test_non_local_block_sees_the_clip_of_its_frames(shift_place):
    net = with_non_local(shift_place=shift_place)
    seen = []
    net.layer1[1].non_local_block.register_forward_hook(
        lambda _, given, out: seen.append((given[0], out))
    )
    x = frames(4, 3, 32, 32)
    net(x)
    inside = net.layer1[1].block(net.layer1[0](net.maxpool(net.conv1(x))))
    ((clips, result),) = seen
    assert torch.equal(clips, torch.stack([inside[:2], inside[2:]]).transpose(1, 2))
    after = torch.cat([clip.transpose(0, 1) for clip in result])
    torch.testing.assert_close(net(x), net.layer2(after))


def test_non_local_blocks_start_as_the_identity():
    plain = ResNetTSM(18, 2, num_stages=2).eval()
    net = ResNetTSM(18, 2, num_stages=2, non_local=[[0, 1], [0, 0]]).eval()
    state = net.state_dict()
    plain.load_state_dict(
        {n.replace(".block.", "."): t for n, t in state.items() if "non_local" not in n}
    )
    x = frames(4, 3, 32, 32)
    torch.testing.assert_close(net(x), plain(x))


def test_flags_of_non_local_blocks_match_the_stages():
    with pytest.raises(ValueError, match="the stages have 2, 2, 2, 2 blocks"):
        ResNetTSM(18, non_local=[[0, 1]])
