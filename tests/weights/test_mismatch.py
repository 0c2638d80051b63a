"""What files look like, by the names of networks of torchvision and timm; and what is advised."""

import re

import pytest
import timm
import torch
import torchvision

from vidrec.models.backbones.mobilenet_v2 import MobileNetV2
from vidrec.models.backbones.resnet import ResNet
from vidrec.models.backbones.resnet3d import ResNet3dSlowOnly
from vidrec.weights.load import load_all, load_weights
from vidrec.weights.mismatch import looks_like


def shapes(make, prefix=""):
    with torch.device("meta"):
        return {prefix + name: tuple(t.shape) for name, t in make().state_dict().items()}


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (torchvision.models.resnet18, "a ResNet-18 of torchvision or timm"),
        (torchvision.models.resnet101, "a ResNet-101 of torchvision or timm"),
        (lambda: ResNet(34), "a ResNet-34 of MMAction2 or vidrec"),
        (lambda: ResNet3dSlowOnly(50), "a 3D ResNet-50 of MMAction2 or vidrec"),
        (torchvision.models.mobilenet_v2, "a MobileNetV2 of torchvision"),
        (MobileNetV2, "a MobileNetV2 of MMPretrain"),
        (torchvision.models.densenet121, "a DenseNet"),
        (torchvision.models.swin_t, "a Swin Transformer of torchvision"),
        (torchvision.models.vit_b_32, "a vision transformer of torchvision"),
        (torchvision.models.efficientnet_b0, "an EfficientNet, MobileNetV3 or"),
        (
            lambda: timm.create_model("vit_small_patch16_224"),
            "a ViT-S of timm, MAE or VideoMAE with 12 blocks",
        ),
        (lambda: timm.create_model("swin_tiny_patch4_window7_224"), "a Swin Transformer"),
        (torchvision.models.alexnet, None),
    ],
)
@pytest.mark.parametrize("prefix", ["", "module.backbone."])
def test_files_look_like_the_networks_they_are_of(make, expected, prefix):
    found = looks_like(shapes(make, prefix))
    assert found == expected or (found or "").startswith(expected or "nothing")


def test_weights_of_another_network_are_told_apart_and_never_forced(tmp_path):
    torch.save(torchvision.models.mobilenet_v2().state_dict(), tmp_path / "m.pth")
    with pytest.raises(ValueError, match=r"matches 0\.0 %") as error:
        load_weights(ResNet(18), tmp_path / "m.pth")
    message = str(error.value)
    assert re.search(
        r"the file has features\.0\.0\.weight, .* looks like a MobileNetV2 of torchvision, the "
        r"network has conv1\.conv\.weight, .* looks like a ResNet-18",
        message,
    )
    assert "min_backbone=0 " not in message
    assert "loads what" not in message
    assert "\n" not in message
    assert len(message) < 600 + len(str(tmp_path))


def test_weights_of_a_part_of_the_network_may_be_accepted_as_they_are(tmp_path):
    net = ResNet(18)
    state = {n: t for n, t in net.state_dict().items() if not n.startswith("layer4")}
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(ValueError, match=r"model\.min_backbone=0\.75 loads what matches"):
        load_weights(net, tmp_path / "part.pth")
    assert load_weights(net, tmp_path / "part.pth", min_backbone=0.75).backbone == 0.75


def test_evaluation_refuses_checkpoints_of_another_network_in_a_sentence(tmp_path):
    torch.save(torchvision.models.mobilenet_v2().state_dict(), tmp_path / "m.pth")
    with pytest.raises(
        ValueError, match=r"matches 0\.0 % .* MobileNetV2 .*: choose the mo"
    ) as error:
        load_all(ResNet(18), tmp_path / "m.pth")
    assert "\n" not in str(error.value)
    assert "scratch" not in str(error.value)
