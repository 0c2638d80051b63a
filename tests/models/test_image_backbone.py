"""Backbones of timm and torchvision against the libraries' own outputs, and against each other."""

import copy

import pytest
import torch
import torchvision
from torchvision.models import regnet

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


def test_a_name_without_a_library_is_timms_if_it_has_one():
    """Both have resnet18, under the same names of parameters; only timm's gives a map."""
    assert ImageBackbone("resnet18").eval()(images()).shape == (2, 512, 2, 2)
    assert ImageBackbone("torchvision/resnet18").eval()(images()).shape == (2, 512, 1, 1)
    assert ImageBackbone("mobilenet_v2").state_dict().keys() == {
        name for name in torchvision.models.mobilenet_v2().state_dict() if "features" in name
    }
    with pytest.raises(ValueError, match="timm has no image model 'mobilenet_v2'"):
        ImageBackbone("timm/mobilenet_v2")
    with pytest.raises(ValueError, match="timm has no image model 'alexnet'"):
        ImageBackbone("alexnet", library="timm")


def test_googlenet_normalises_images_as_its_published_weights_expect():
    """torchvision sets transform_input whenever it loads them."""
    ours = ImageBackbone("googlenet").eval()
    theirs = torchvision.models.googlenet(
        transform_input=True, aux_logits=False, init_weights=False
    ).eval()
    theirs.fc = torch.nn.Identity()
    ours.load_state_dict(theirs.state_dict())
    expected = theirs(images())
    torch.testing.assert_close(ours(images()).flatten(1), expected)
    theirs.transform_input = False
    assert not torch.allclose(theirs(images()), expected)
    assert ImageBackbone("googlenet", in_channels=10)(images(channels=10)).shape[1] == 1024


@pytest.mark.slow
def test_every_network_of_torchvision_gives_its_channels_and_gradients(monkeypatch):
    """On tensors without values, at the size of images that all of them take."""
    settings = regnet.BlockParams.from_init_params

    def with_values(**arguments):
        with torch.device("cpu"):
            return settings(**arguments)

    monkeypatch.setattr(regnet.BlockParams, "from_init_params", with_values)
    names = torchvision.models.list_models(module=torchvision.models)
    assert len(names) >= 80
    for name in names:
        with torch.device("meta"):
            net = ImageBackbone(f"torchvision/{name}").train()
            features = net(torch.zeros(2, 3, 224, 224))
            features.sum().backward()
        assert features.shape[:2] == (2, net.out_channels), name
        assert all(parameter.grad is not None for parameter in net.parameters()), name


FAMILIES = {
    "alexnet": 64, "convnext_tiny": 32, "densenet121": 32, "efficientnet_b0": 32,
    "efficientnet_v2_s": 32, "googlenet": 32, "inception_v3": 75, "maxvit_t": 224,
    "mnasnet0_5": 32, "mobilenet_v2": 32, "mobilenet_v3_small": 32, "regnet_x_400mf": 32,
    "regnet_y_400mf": 32, "resnet18": 32, "resnext50_32x4d": 32, "shufflenet_v2_x0_5": 32,
    "squeezenet1_1": 32, "swin_t": 32, "swin_v2_t": 32, "vgg11_bn": 32, "vit_b_32": 224,
    "wide_resnet50_2": 32,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_of_torchvision_learns(name):
    """The smallest network of each, at the smallest size of images that it takes."""
    torch.manual_seed(0)
    backbone = ImageBackbone(f"torchvision/{name}")
    head = torch.nn.Linear(backbone.out_channels, 2, bias=False)
    parameters = [*backbone.parameters(), *head.parameters()]
    before = [parameter.detach().clone() for parameter in parameters]
    logits = head(backbone.train()(images(FAMILIES[name], FAMILIES[name])).mean(dim=(2, 3)))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    torch.optim.SGD(parameters, lr=1.0).step()
    assert all(parameter.isfinite().all() for parameter in parameters)
    moved = [not torch.equal(p, old) for p, old in zip(parameters, before, strict=True)]
    assert sum(moved) > len(moved) / 2  # the rest has too small a gradient


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="did you mean 'resnet50'"):
        ImageBackbone("resnet5O")
    message = "neither timm nor torchvision has an image model 'mobilenet_v22'; did you mean"
    with pytest.raises(ValueError, match=message):
        ImageBackbone("mobilenet_v22")
    with pytest.raises(ValueError, match="torchvision has no image model 'swin_tiny'"):
        ImageBackbone("torchvision/swin_tiny")
    with pytest.raises(ValueError, match="choose timm or torchvision"):
        ImageBackbone("resnet18", library="keras")
    with pytest.raises(ValueError, match="checkpointing=false"):
        ImageBackbone("torchvision/resnet18", checkpointing=True)
