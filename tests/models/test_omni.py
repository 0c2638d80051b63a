"""The network of OmniSource is SlowOnly under other names, with a head for videos."""

import re

import torch

from vidrec.models.backbones.omni_resnet import OmniResNet
from vidrec.models.backbones.resnet3d import ResNet3dSlowOnly
from vidrec.models.heads.omni import OmniHead


def test_backbone_is_slow_only_under_other_names():
    torch.manual_seed(0)
    slow_only, net = ResNet3dSlowOnly(50, zero_init_residual=False).eval(), OmniResNet().eval()
    state = {}
    for name, value in slow_only.state_dict().items():
        name = re.sub(r"conv(\d)\.conv\.", r"conv\1.", name)
        name = re.sub(r"conv(\d)\.bn\.", r"bn\1.", name)
        name = re.sub(r"downsample\.conv\.", "downsample.0.", name)
        state[re.sub(r"downsample\.bn\.", "downsample.1.", name)] = value
    net.load_state_dict(state)
    x = torch.randn(1, 3, 2, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(net(x), slow_only(x))


def test_videos_train_all_but_the_classifier_of_images():
    head = OmniHead(video_classes=3, in_channels=4, image_classes=5, hidden_channels=6)
    head(torch.randn(2, 4, 2, 3, 3)).sum().backward()
    trained = {name.split(".")[0] for name, p in head.named_parameters() if p.grad is not None}
    frozen = {name.split(".")[0] for name, p in head.named_parameters() if not p.requires_grad}
    assert (trained, frozen) == ({"fc3d"}, {"fc2d"})
