"""Backbones of timm and torchvision against the libraries' own outputs, and against each other."""

import copy

import pytest
import torch

from vidrec.models.backbones.image import ImageBackbone

SWIN = {
    "img_size": 64,
    "window_size": 4,
    "embed_dim": 16,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 1, 1, 1],
}
VIT = {"img_size": [32, 64], "embed_dim": 24, "depth": 2, "num_heads": 2}


def images(height=64, width=64, channels=3):
    return torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(0))


def test_one_architecture_is_the_same_from_both_libraries():
    ours = ImageBackbone("resnet18").eval()
    theirs = ImageBackbone("torchvision/resnet18").eval()
    theirs.load_state_dict(ours.state_dict())
    maps, pooled = ours(images()), theirs(images())
    assert maps.shape == (2, 512, 2, 2)
    assert pooled.shape == (2, 512, 1, 1)
    assert ours.out_channels == theirs.out_channels == 512
    torch.testing.assert_close(maps.mean(dim=(2, 3), keepdim=True), pooled)


def test_resnext_has_the_names_and_numbers_of_torchvision():
    from torchvision.models.resnet import Bottleneck, ResNet

    ours = ImageBackbone("resnext50_32x4d", options={"layers": [1, 1, 1, 1]}).eval()
    theirs = ResNet(Bottleneck, [1, 1, 1, 1], groups=32, width_per_group=4).eval()
    theirs.fc = torch.nn.Identity()
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(images()).mean(dim=(2, 3)), theirs(images()))


def test_channels_come_second_where_the_library_has_them_last():
    import timm

    name = "swin_tiny_patch4_window7_224"
    ours = ImageBackbone(name, options=SWIN).eval()
    theirs = timm.create_model(name, num_classes=0, **SWIN).eval()
    theirs.load_state_dict(ours.state_dict())
    maps = ours(images())
    assert maps.shape == (2, ours.out_channels, 2, 2) == (2, 128, 2, 2)
    torch.testing.assert_close(maps, theirs.forward_features(images()).permute(0, 3, 1, 2))


def test_tokens_are_laid_out_on_their_grid_without_the_class_token():
    import timm

    name = "vit_tiny_patch16_224"
    ours = ImageBackbone(name, options=VIT).eval()
    theirs = timm.create_model(name, num_classes=0, **VIT).eval()
    theirs.load_state_dict(ours.state_dict())
    tokens = theirs.forward_features(images(32, 64))
    maps = ours(images(32, 64))
    assert maps.shape == (2, 24, 2, 4)
    torch.testing.assert_close(maps[:, :, 1, 2], tokens[:, 1 + 1 * 4 + 2])


@pytest.mark.parametrize(
    ("name", "norm"), [("densenet121", None), ("alexnet", None), ("swin_t", "norm")]
)
def test_torchvisions_features_keep_their_names(name, norm):
    """What the published TSN on DenseNet sees: the map before the last ReLU and pooling."""
    from torchvision import models

    theirs = getattr(models, name)().eval()
    ours = ImageBackbone(name, library="torchvision").eval()
    parts = ("features", norm)
    state = {n: t for n, t in theirs.state_dict().items() if n.split(".")[0] in parts}
    ours.load_state_dict(state)
    expected = theirs.features(images())
    if norm:
        expected = theirs.norm(expected).permute(0, 3, 1, 2)
    maps = ours(images())
    assert maps.shape[1] == ours.out_channels
    torch.testing.assert_close(maps, expected)


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("mobilenetv3_small_050", 1024),
        ("convnext_atto", 320),
        ("inception_next_atto", 960),  # cannot do without its pooling
        ("torchvision/squeezenet1_1", 512),
        ("torchvision/mobilenet_v3_small", 576),
        ("torchvision/mnasnet0_5", 1280),
    ],
)
def test_every_parameter_has_a_gradient(name, channels):
    """Nothing of a classifier is left over; distributed training waits for every parameter."""
    net = ImageBackbone(name).train()
    features = net(images())
    assert features.shape[:2] == (2, net.out_channels) == (2, channels)
    features.sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.parametrize("name", ["resnet18", "torchvision/resnet18"])
def test_flow_has_more_channels(name):
    net = ImageBackbone(name, in_channels=10)
    assert net.conv1.weight.shape == (64, 10, 7, 7)
    assert net(images(channels=10)).shape[:2] == (2, 512)


def test_copies_are_independent_networks():
    net = ImageBackbone("resnet18").eval()
    twin = copy.deepcopy(net)
    with torch.no_grad():
        net.conv1.weight.zero_()
    assert twin(images()).shape == (2, 512, 2, 2)
    assert not torch.equal(twin(images()), net(images()))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="did you mean 'resnet50'"):
        ImageBackbone("resnet5O")
    with pytest.raises(ValueError, match="torchvision has no image model 'swin_tiny'"):
        ImageBackbone("torchvision/swin_tiny")
    with pytest.raises(ValueError, match="choose timm or torchvision"):
        ImageBackbone("resnet18", library="keras")
    with pytest.raises(ValueError, match="checkpointing=false"):
        ImageBackbone("torchvision/resnet18", checkpointing=True)
