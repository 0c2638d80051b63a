"""MobileOne against timm's, and its two forms against each other."""

import re

import pytest
import torch

from vidrec.models.backbones.mobileone import MobileOne

# timm's names -> ours.
RENAMES = [
    (r"^stem\.", "stage0."),
    (r"^stages\.(\d)\.", lambda match: f"stage{int(match[1]) + 1}."),
    (r"\.identity\.", ".branch_norm."),
    (r"\.conv_scale\.", ".branch_scale."),
    (r"\.conv_kxk\.", ".branch_conv_list."),
    (r"\.bn\.", ".norm."),
    (r"\.attn\.fc(\d)\.", r".se.conv\1.conv."),
]


def renamed(name):
    for pattern, replacement in RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def randomised(net):
    generator = torch.Generator().manual_seed(0)
    for tensor in net.state_dict().values():
        if tensor.ndim == 1:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return net.double().eval()


def images(size=64):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, size, size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("arch", ["s0", "s4"])
def test_equals_timm_under_the_published_names(arch):
    import timm

    theirs = randomised(timm.create_model(f"mobileone_{arch}", num_classes=0))
    ours = MobileOne(arch).double().eval()
    ours.load_state_dict({renamed(name): t for name, t in theirs.state_dict().items()})
    features = ours(images())
    expected = theirs.forward_features(images())
    assert features.shape == (2, ours.out_channels, 2, 2)
    scale = expected.abs().max()
    torch.testing.assert_close(features / scale, expected / scale, rtol=0, atol=1e-12)


@pytest.mark.parametrize("arch", ["s0", "s4"])
def test_deployed_form_gives_the_same_features_with_less(arch):
    net = randomised(MobileOne(arch))
    expected = net(images())
    count = sum(parameter.numel() for parameter in net.parameters())
    deployed = net.switch_to_deploy()
    scale = expected.abs().max()
    torch.testing.assert_close(deployed(images()) / scale, expected / scale, rtol=0, atol=1e-10)
    assert sum(parameter.numel() for parameter in deployed.parameters()) < count
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in deployed.modules())
    again = MobileOne(arch, deploy=True).double().eval()
    again.load_state_dict(deployed.state_dict())
    assert torch.equal(again(images()), deployed(images()))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="arch='s5'"):
        MobileOne("s5")
    with pytest.raises(ValueError, match="frozen_stages=5"):
        MobileOne("s0", frozen_stages=5)
