"""CTR-GCN: the published network's figures, and the refined graph worked out joint by joint."""

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
from vidrec.models.backbones.ctrgcn import CTRGCN, ChannelGraphConv, Refinement

NAME = "skeletons/ctrgcn_8xb16-joint-u100-80e_ntu60-xsub-keypoint-3d.json.gz"
SMALL = {"base_channels": 16, "num_stages": 3, "inflate_stages": (2,), "down_stages": (3,)}


@pytest.fixture(scope="module")
def golden():
    return read_golden(NAME)


@pytest.fixture
def net(golden):
    net = Classifier(CTRGCN(**NTU), num_classes=60)
    assert not any(compare_state(net, golden).values())
    assert compare_constants(net, golden) == {"constants": 0.0}
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


def test_a_refined_graph_joint_by_joint():
    torch.manual_seed(0)
    conv = Refinement(4, 6).double()
    x, graph = torch.randn(2, 4, 5, 3).double(), torch.randn(3, 3).double()
    found = conv(x, graph, torch.tensor([0.7], dtype=torch.float64))
    first, second = conv.conv1(x).mean(2), conv.conv2(x).mean(2)
    values = conv.conv3(x)
    weight, bias = conv.conv4.weight[:, :, 0, 0], conv.conv4.bias
    expected = torch.zeros_like(found)
    for sender in range(3):
        for receiver in range(3):
            alike = (first[:, :, sender] - second[:, :, receiver]).tanh()
            link = graph[sender, receiver] + 0.7 * (alike @ weight.T + bias)
            expected[..., receiver] += link[:, :, None] * values[..., sender]
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)


def test_a_new_block_starts_close_to_its_shortcut():
    x = torch.randn(2, 8, 4, 3)
    assert torch.allclose(ChannelGraphConv(8, 8, torch.rand(3, 3, 3))(x), x.relu(), atol=1e-4)


@pytest.mark.parametrize(
    "options", [{}, {"mode": "stgcn_spatial"}, {"kernel_size": [3, 5, 7], "dilations": [1, 2, 3]}]
)
def test_shapes_and_gradients(options):
    net = CTRGCN(**COCO, **SMALL, **options)
    features = net(torch.randn(2, 2, 8, 17, 3))
    assert features.shape == (2, 2, net.out_channels, 4, 17)
    assert net.out_channels == 32
    features.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_dropout_starts_with_the_second_stage():
    net = CTRGCN(**COCO, **SMALL, tcn_dropout=0.5)
    assert [block.tcn1.drop.p for block in net.net] == [0.0, 0.5, 0.5]


def test_what_does_not_fit_is_rejected():
    net = CTRGCN(**COCO, **SMALL)
    with pytest.raises(ValueError, match=r"25 joints of 3 values.*num_joints=17"):
        net(torch.randn(1, 2, 4, 25, 3))
    with pytest.raises(ValueError, match=r"samples have 1 persons.*num_person=2"):
        net(torch.randn(1, 1, 4, 17, 3))
    with pytest.raises(ValueError, match=r"kernel_size=\[3\] needs one entry per dilation"):
        CTRGCN(**COCO, **SMALL, kernel_size=[3])
    with pytest.raises(ValueError, match="3 channels are too few for 4 branches"):
        CTRGCN(**COCO, base_channels=3)
