"""MS-G3D: the published network's figures, and its graphs and windows worked out by hand."""

import pytest
import torch

from tests.models.test_skeleton_networks import COCO, NTU, Classifier
from tests.parity.parity import (
    compare_constants,
    compare_gradients,
    compare_state,
    drawn,
    fill,
    relative,
    without_dropout,
)
from tests.paths import read_golden
from vidrec.models.backbones.msg3d import MSG3D, TemporalWindows, scales_of

NAME = "skeletons/msg3d_8xb16-joint-u100-80e_ntu60-xsub-keypoint-3d.json.gz"
CHAIN = torch.tensor([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]])


@pytest.fixture(scope="module")
def golden():
    return read_golden(NAME)


@pytest.fixture
def net(golden):
    net = Classifier(MSG3D(**NTU), num_classes=60)
    assert not any(compare_state(net, golden).values())
    assert compare_constants(net, golden)["constants"] < 1e-12
    fill(net, golden["after_fill_scale"])
    return net.double()


def test_logits_are_those_of_the_published_network(net, golden):
    assert sum(p.numel() for p in net.parameters()) == golden["n_params"]
    with torch.no_grad():
        logits = net.eval()(drawn(golden["input"]["shape"], golden["input"]["seed"], torch.float32))
    assert relative(logits, torch.tensor(golden["logits"], dtype=torch.float64)) < 1e-12


@pytest.mark.slow
def test_a_training_step_is_that_of_the_published_network(net, golden):
    train = golden["train"]
    without_dropout(net)
    logits = net.train()(drawn(train["input_shape"], train["seed"], torch.float64))
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(train["labels"]))
    loss.backward()
    assert loss.item() == pytest.approx(train["total"], rel=1e-12)
    assert max(compare_gradients(net, train).values()) < 1e-9


def test_distances_along_a_chain():
    """0 - 1 - 2: worked out by hand; nothing is three links apart."""
    own, one, two, three = scales_of(CHAIN, 4)
    assert own.tolist() == three.tolist() == torch.eye(3).tolist()
    third = torch.tensor(1 / 3).item()
    assert one.tolist() == [[0.5, third, 0], [0.5, third, 0.5], [0, third, 0.5]]
    assert two.tolist() == [[0.5, 0, 0.5], [0, 1, 0], [0.5, 0, 0.5]]


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_windows_hold_the_frames_around(stride, dilation):
    x = torch.arange(1.0, 2 * 6 * 3 + 1).view(1, 2, 6, 3)
    windows = TemporalWindows(3, stride, dilation)(x)
    assert windows.shape == (1, 2, 6 // stride, 9)
    for number in range(6 // stride):
        for place in range(3):
            frame = number * stride + (place - 1) * dilation
            expected = x[0, :, frame] if 0 <= frame < 6 else torch.zeros(2, 3)
            assert torch.equal(windows[0, :, number, 3 * place : 3 * place + 3], expected)


@pytest.mark.parametrize("channels", [3, 2])
def test_shapes_and_gradients(channels):
    net = MSG3D(**COCO, in_channels=channels, base_channels=12, num_gcn_scales=3, num_g3d_scales=2)
    features = net(torch.randn(2, 2, 8, 17, channels))
    assert features.shape == (2, 2, net.out_channels, 2, 17)
    assert net.out_channels == 48
    features.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_the_centre_makes_no_difference():
    torch.manual_seed(0)
    small = {"base_channels": 6, "num_gcn_scales": 3, "num_g3d_scales": 2}
    net, other = MSG3D(**COCO, **small), MSG3D(**(COCO | {"center": 11}), **small)
    assert all(torch.equal(a, b) for a, b in zip(net.buffers(), other.buffers(), strict=True))


def test_dropout_follows_each_stage():
    net = MSG3D(**COCO, base_channels=6, num_gcn_scales=2, num_g3d_scales=2, tcn_dropout=0.5)
    dropped = {n for n, m in net.named_modules() if isinstance(m, torch.nn.Dropout) and m.p}
    assert dropped == {"tcn1.drop", "tcn2.drop", "tcn3.drop"}
