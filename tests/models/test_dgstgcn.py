"""DG-STGCN: the published network's figures, and its graphs against plain loops."""

import pytest
import torch
from torch import nn

from tests.models.test_skeleton_networks import COCO, NTU
from tests.parity.parity import (
    compare_gradients,
    compare_state,
    drawn,
    fill,
    relative,
    without_dropout,
)
from tests.paths import read_golden
from vidrec.models.backbones.dgstgcn import DGSTGCN, DynamicGraphConv, DynamicTemporalConv
from vidrec.models.heads.dgstgcn import DGSTGCNHead

NAME = "skeletons/dgstgcn_ntu60_xsub_3dkp_j.json.gz"
SMALL = {"base_channels": 16, "num_stages": 3, "inflate_stages": (2,), "down_stages": (3,)}


class Classifier(nn.Module):
    """(N, V, M, T, J, C) -> logits (N * V, K), with the published names."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = DGSTGCN(**NTU)
        self.cls_head = DGSTGCNHead(60, self.backbone.out_channels)

    def forward(self, keypoint):
        return self.cls_head(self.backbone(keypoint.flatten(0, 1)))


@pytest.fixture(scope="module")
def golden():
    return read_golden(NAME)


@pytest.fixture
def net(golden):
    net = Classifier()
    assert not any(compare_state(net, golden).values())
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
    loss = nn.functional.cross_entropy(logits, torch.tensor(train["labels"]))
    loss.backward()
    assert loss.item() == pytest.approx(train["total"], rel=1e-12)
    assert max(compare_gradients(net, train).values()) < 1e-9


@pytest.mark.parametrize("subset_wise", [False, True])
@pytest.mark.parametrize(
    ("ctr", "ada"), [("T", "T"), ("T", "NA"), ("NA", "T"), ("NA", None), (None, "T"), (None, None)]
)
def test_graphs_frame_by_frame(ctr, ada, subset_wise):
    torch.manual_seed(0)
    conv = DynamicGraphConv(6, 6, torch.randn(2, 4, 4), 0.5, ctr, ada, subset_wise).double().eval()
    nn.init.normal_(conv.alpha)
    nn.init.normal_(conv.beta)
    x = torch.randn(1, 6, 5, 4).double()
    groups = conv.pre(x)[0].view(2, 3, 5, 4)
    summed = torch.zeros_like(groups)
    for frame in range(5):
        seen = x[:, :, [frame]] if "NA" in (ctr, ada) else x.mean(2, keepdim=True)
        for k in range(2):
            graph = conv.A[k].expand(3, 4, 4)
            weight = k if subset_wise else 0
            if ctr or ada:
                first, second = (c(seen)[0].view(2, 3, 4)[k] for c in (conv.conv1, conv.conv2))
            if ctr:
                differences = first[:, :, None] - second[:, None, :]
                graph = graph + conv.alpha[weight] * differences.tanh()
            if ada:
                graph = graph + conv.beta[weight] * (first.T @ second).softmax(0)
            for c in range(3):
                summed[k, c, frame] = groups[k, c, frame] @ graph[c]
    expected = (conv.bn(conv.post(summed.view(1, 6, 5, 4))) + x).relu()
    assert torch.allclose(conv(x), expected, rtol=0, atol=1e-12)


def test_the_mean_joint_without_a_share_changes_nothing():
    """With shares of zero, as at the start, and fixed statistics it is the plain convolution."""
    torch.manual_seed(0)
    conv, x = DynamicTemporalConv(12, 12, 25).eval(), torch.randn(2, 12, 8, 17)
    plain = torch.cat([branch(x) for branch in conv.branches], dim=1)
    assert torch.allclose(conv(x), conv.bn(conv.transform(plain)), atol=1e-6)
    nn.init.ones_(conv.add_coeff)
    assert not torch.allclose(conv(x), conv.bn(conv.transform(plain)), atol=1e-3)


@pytest.mark.parametrize(
    "options", [{}, {"mode": "spatial"}, {"data_bn_type": "MVC", "gcn_ctr": "NA"}]
)
def test_shapes_and_gradients(options):
    net = DGSTGCN(**COCO, **SMALL, **options)
    features = net(torch.randn(2, 2, 8, 17, 3))
    assert features.shape == (2, 2, net.out_channels, 4, 17)
    DGSTGCNHead(5, net.out_channels)(features).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_graphs_start_from_noise():
    graph = DGSTGCN(**NTU, num_stages=1, init_off=0.5, init_std=0.1).gcn[0].gcn.A
    assert graph.shape == (8, 25, 25)
    assert graph.mean().item() == pytest.approx(0.5, abs=0.01)
    assert graph.std().item() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "x"}, "mode='x': choose random, spatial, stgcn_spatial"),
        ({"gcn_ctr": "x"}, "ctr='x': choose null, T, NA"),
        ({"gcn_ada_act": "x"}, "ada_act='x': choose tanh, relu, sigmoid, softmax"),
        ({"tcn_num_joints": 16}, "tcn_num_joints=16 is less than num_joints=17"),
        ({"gcn_ratio": 0.01}, "ratio=0.01 of 64 channels leaves none"),
    ],
)
def test_what_does_not_fit_is_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        DGSTGCN(**COCO, **options)
