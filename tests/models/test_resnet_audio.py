"""Networks over spectrograms: the published networks' figures, and what their options do."""

import pytest
import torch
from torch import Tensor, nn

from tests.parity.parity import (
    compare_gradients,
    compare_state,
    drawn,
    fill,
    relative,
    without_dropout,
)
from tests.paths import read_golden
from vidrec.models.backbones.resnet import ResNet
from vidrec.models.backbones.resnet_audio import ResNetAudio
from vidrec.models.heads.tsn_audio import TSNAudioHead

RECIPE = "-64x1x1-100e_kinetics400-audio-feature"
NETWORKS = {
    f"audioonly_r50_8xb160{RECIPE}": lambda: ResNetAudio(50),
    f"tsn_r18_8xb320{RECIPE}": lambda: ResNet(18, in_channels=1),
}
SMALL = {"base_channels": 4, "num_stages": 3}


class Classifier(nn.Module):
    """(N, V, 1, T, F) -> logits (N * V, K), with the published names."""

    def __init__(self, backbone: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.cls_head = TSNAudioHead(num_classes, backbone.out_channels)

    def forward(self, spectrograms: Tensor) -> Tensor:
        return self.cls_head(self.backbone(spectrograms.flatten(0, 1)))


def filled(name: str) -> tuple[nn.Module, dict]:
    golden = read_golden(f"audio/{name}.json.gz")
    net = Classifier(NETWORKS[name](), num_classes=400)
    assert not any(compare_state(net, golden).values())
    assert list(net.state_dict()) == [name for name, _, _ in golden["state_dict"]]
    fill(net, golden["after_fill_scale"])
    return net.double(), golden


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_those_of_the_published_network(name):
    net, golden = filled(name)
    assert sum(p.numel() for p in net.parameters()) == golden["n_params"]
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == golden["n_trainable"]
    spectrograms = drawn(golden["input"]["shape"], golden["input"]["seed"], torch.float32)
    with torch.no_grad():
        logits = net.eval()(spectrograms)
    assert relative(logits, torch.tensor(golden["logits"], dtype=torch.float64)) < 1e-9


@pytest.mark.parametrize("name", NETWORKS)
def test_a_training_step_is_that_of_the_published_network(name):
    net, golden = filled(name)
    train = golden["train"]
    without_dropout(net)
    logits = net.train()(drawn(train["input_shape"], train["seed"], torch.float64))
    loss = nn.functional.cross_entropy(logits, torch.tensor(train["labels"]))
    loss.backward()
    assert loss.item() == pytest.approx(train["total"], rel=1e-9)
    assert max(compare_gradients(net, train).values()) < 1e-9


@pytest.mark.parametrize("factorize", [(1, 1, 0), (0, 1, 1), (0, 0, 0)])
def test_shapes_and_gradients(factorize):
    net = ResNetAudio(50, **SMALL, factorize=factorize, zero_init_residual=False)
    features = net(torch.randn(2, 1, 20, 16))
    assert features.shape == (2, net.out_channels, 5, 4)
    TSNAudioHead(3, net.out_channels)(features).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_the_pair_of_convolutions_sees_one_axis_each():
    """A single non-zero value spreads along its own row and column and nowhere else."""
    pair = ResNetAudio(50, **SMALL).conv1.conv.eval()
    x = torch.zeros(1, 1, 21, 31)
    with torch.no_grad():
        for parameter in pair.parameters():
            parameter.abs_()  # what a ReLU clips would hide where the value is seen
        silent = pair(x)
        x[0, 0, 10, 15] = 1
        changed = (pair(x) != silent).any(dim=1)[0]
    rows, columns = changed.nonzero(as_tuple=True)
    assert ((rows == 10) | (columns == 15)).all()
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (6, 14, 11, 19)


def test_blocks_start_as_the_identity():
    net = ResNetAudio(50, **SMALL)
    assert all(not block.conv3.bn.weight.any() for stage in net.stages() for block in stage)


def test_recomputed_activations_give_the_same_gradients():
    torch.manual_seed(0)
    net = ResNetAudio(50, **SMALL, zero_init_residual=False).double()
    x = torch.randn(2, 1, 16, 16, dtype=torch.float64)
    gradients = []
    for net.checkpoint_stages in ((), (1, 3)):
        net.zero_grad()
        net(x).square().mean().backward()
        gradients.append([p.grad.clone() for p in net.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_frozen_stages_and_statistics():
    net = ResNetAudio(50, **SMALL, frozen_stages=1).train()
    assert not any(p.requires_grad for p in [*net.conv1.parameters(), *net.layer1.parameters()])
    assert all(p.requires_grad for p in net.layer2.parameters())
    assert not net.layer1.training
    assert net.layer2.training
    kept = ResNetAudio(50, **SMALL, norm_eval=True).train()
    assert not any(m.training for m in kept.modules() if isinstance(m, nn.BatchNorm2d))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 18}, r"no depth=18, choose one of \[50, 101, 152\]"),
        ({"num_stages": 5}, "num_stages=5 is not in 1 to 4"),
        ({"conv1_kernel": 8}, "conv1_kernel=8: choose an odd length"),
        ({"strides": (1, 2)}, r"strides=\[1, 2\]: give one for each of 4 stages"),
        ({"factorize": (1,)}, r"factorize=\[1\]: give one for each of 4 stages"),
        ({"frozen_stages": 5}, "frozen_stages=5 is not in -1 to 4"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        ResNetAudio(**{"depth": 50, **options})
