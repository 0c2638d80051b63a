"""ResNet against torchvision's, and what its training options leave unchanged."""

import copy
import re

import pytest
import torch
from torch import nn

from vidrec.models.backbones.resnet import ResNet

RENAMES = [
    (r"(^|\.)conv(\d)\.", r"\1conv\2.conv."),
    (r"(^|\.)bn(\d)\.", r"\1conv\2.bn."),
    (r"downsample\.0\.", "downsample.conv."),
    (r"downsample\.1\.", "downsample.bn."),
]


def renamed(name):
    for pattern, replacement in RENAMES:
        name, count = re.subn(pattern, replacement, name)
        if count:
            break
    return name


def randomised(net, seed=0):
    """Statistics and affine weights of BatchNorm that are not the identity."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in net.state_dict().items():
        if tensor.ndim == 1:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5 * ("bias" not in name))
    return net


def images(size=64, channels=3, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, size, size, generator=generator)


@pytest.mark.parametrize("depth", [18, 50])
def test_equals_torchvision_under_the_published_names(depth):
    from torchvision import models

    theirs = randomised(getattr(models, f"resnet{depth}")()).double()
    theirs.fc = nn.Identity()
    ours = ResNet(depth).double()
    ours.load_state_dict({renamed(name): t for name, t in theirs.state_dict().items()})
    x = images().double()
    for train in (False, True):
        features = ours.train(train)(x)
        assert features.shape == (2, ours.out_channels, 2, 2)
        expected = theirs.train(train)(x)
        torch.testing.assert_close(features.mean(dim=(2, 3)), expected, rtol=1e-12, atol=1e-12)
    ours(x).mean(dim=(2, 3)).square().sum().backward()
    theirs(x).square().sum().backward()
    gradients = {name: p.grad for name, p in ours.named_parameters()}
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(gradients[renamed(name)], parameter.grad)


def test_initial_weights_have_the_spread_of_torchvisions():
    from torchvision import models

    ours = ResNet(18).state_dict()
    for name, tensor in models.resnet18().state_dict().items():
        if tensor.ndim == 4:
            torch.testing.assert_close(ours[renamed(name)].std(), tensor.std(), rtol=0.1, atol=0)
        elif not name.startswith("fc"):
            assert torch.equal(ours[renamed(name)], tensor), name


def test_stages_are_returned_as_asked():
    net = ResNet(18, num_stages=3, out_indices=[0, 2]).eval()
    first, last = net(images())
    assert (first.shape, last.shape) == ((2, 64, 16, 16), (2, 256, 4, 4))
    assert net.out_channels == 256
    assert not any(name.startswith("layer4") for name in net.state_dict())


def changed_by_a_step(net):
    """Names of the state that one training step changes."""
    before = copy.deepcopy(net.state_dict())
    net.train()
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    net(images(size=32)).square().mean().backward()
    optimizer.step()
    return {name for name, t in net.state_dict().items() if not torch.equal(t, before[name])}


def test_frozen_stem_alone():
    changed = changed_by_a_step(ResNet(18, frozen_stages=0))
    assert changed == {name for name in ResNet(18).state_dict() if not name.startswith("conv1.")}


def test_partial_bn_trains_only_the_first_norm():
    changed = changed_by_a_step(ResNet(18, partial_bn=True))
    norms = {name for name in ResNet(18).state_dict() if ".bn." in name}
    assert changed & norms == {name for name in norms if name.startswith("conv1.")}
    assert {name for name in ResNet(18).state_dict() if name.endswith("conv.weight")} <= changed


def test_evaluation_mode_returns_after_training():
    net = ResNet(18, frozen_stages=1, partial_bn=True).train().eval()
    assert not any(module.training for module in net.modules())


def test_zero_init_residual_starts_as_the_identity():
    net = ResNet(50, zero_init_residual=True).train()
    x = images(size=8, channels=256).relu()
    torch.testing.assert_close(net.layer1[1](x), x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 20}, "depth=20"),
        ({"depth": 18, "frozen_stages": 5}, "frozen_stages=5"),
        ({"depth": 18, "num_stages": 2, "out_indices": [3]}, "out_indices"),
        ({"depth": 18, "checkpoint_stages": [0]}, "checkpoint_stages"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ResNet(**options)
