"""MobileNetV2 against torchvision's."""

import re

import pytest
import torch

from vidrec.models.backbones.mobilenet_v2 import STAGES, MobileNetV2


def renamed(name):
    """torchvision's names -> MMPretrain's, which are ours."""
    index, rest = re.fullmatch(r"features\.(\d+)\.(.*)", name).groups()
    index = int(index)
    if index in (0, 18):
        return f"conv{1 if index == 0 else 2}." + conv_bn(rest)
    stage, block = position(index - 1)
    number, rest = re.fullmatch(r"conv\.(\d)\.(.*)", rest).groups()
    last = 1 if stage == 1 else 2
    if int(number) < last:
        return f"layer{stage}.{block}.conv.{number}." + conv_bn(rest)
    # The projection and its norm are items of the same sequence.
    layer = "conv" if int(number) == last else "bn"
    return f"layer{stage}.{block}.conv.{last}.{layer}.{rest}"


def conv_bn(rest):
    return re.sub(r"^1\.", "bn.", re.sub(r"^0\.", "conv.", rest))


def position(index):
    for stage, (_, _, num_blocks, _) in enumerate(STAGES, start=1):
        if index < num_blocks:
            return stage, index
        index -= num_blocks
    raise AssertionError


def randomised(net):
    generator = torch.Generator().manual_seed(0)
    for tensor in net.state_dict().values():
        if tensor.ndim == 1:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return net.double()


@pytest.mark.parametrize("widen_factor", [1.0, 0.6])
def test_equals_torchvision_under_the_published_names(widen_factor):
    from torchvision.models import mobilenet_v2

    theirs = randomised(mobilenet_v2(width_mult=widen_factor).features)
    state = {f"features.{name}": tensor for name, tensor in theirs.state_dict().items()}
    ours = MobileNetV2(widen_factor).double()
    ours.load_state_dict({renamed(name): tensor for name, tensor in state.items()})
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)).double()
    for train in (False, True):
        expected = theirs.train(train)(x)
        assert expected.shape == (2, ours.out_channels, 2, 2)
        torch.testing.assert_close(ours.train(train)(x), expected, rtol=1e-11, atol=1e-11)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="frozen_stages=8"):
        MobileNetV2(frozen_stages=8)
    with pytest.raises(ValueError, match="checkpoint_stages"):
        MobileNetV2(checkpoint_stages=[0])
