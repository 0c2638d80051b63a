"""Graph networks over skeletons: the published networks' figures, and what the graphs must keep."""

import pytest
import torch
from torch import Tensor, nn

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
from vidrec.models.backbones.aagcn import AAGCN
from vidrec.models.backbones.stgcn import STGCN
from vidrec.models.heads.gcn import GCNHead
from vidrec.models.layers.skeleton_graph import skeleton_graph


def edges(text: str) -> list[tuple[int, ...]]:
    """`15-13 13-11` -> [(15, 13), (13, 11)]: a joint and its neighbour nearer to the centre."""
    return [tuple(map(int, edge.split("-"))) for edge in text.split()]


COCO = {
    "num_joints": 17,
    "center": 0,
    "edges": edges(
        "15-13 13-11 16-14 14-12 11-5 12-6 9-7 7-5 10-8 8-6 5-0 6-0 1-0 3-1 2-0 4-2",
    ),
}
NTU = {
    "num_joints": 25,
    "center": 20,
    "edges": edges(
        "0-1 1-20 2-20 3-2 4-20 5-4 6-5 7-6 8-20 9-8 10-9 11-10 12-0 13-12 14-13 15-14 16-0 17-16 "
        "18-17 19-18 21-7 22-7 23-11 24-11"
    ),
}
PLUS = {"mode": "spatial", "gcn_adaptive": "init", "gcn_with_res": True, "tcn_type": "mstcn"}
RECIPE = "_8xb16-joint-u100-80e_ntu60-xsub-keypoint-"
NETWORKS = {
    f"stgcn{RECIPE}2d": lambda: STGCN(**COCO),
    f"stgcnpp{RECIPE}3d": lambda: STGCN(**NTU, **PLUS),
    f"2s-agcn{RECIPE}2d": lambda: AAGCN(**COCO, gcn_attention=False),
}
VARIANTS = [
    (STGCN, {}),
    (STGCN, {"gcn_adaptive": "offset", "gcn_conv_pos": "post"}),
    (STGCN, {"gcn_adaptive": None, "data_bn_type": "MVC"}),
    (STGCN, PLUS),
    (AAGCN, {}),
    (AAGCN, {"gcn_adaptive": False, "gcn_attention": False}),
]


class Classifier(nn.Module):
    """(N, V, M, T, J, C) -> logits (N * V, K), with the published names."""

    def __init__(self, backbone: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.cls_head = GCNHead(num_classes, backbone.out_channels)

    def forward(self, keypoint: Tensor) -> Tensor:
        return self.cls_head(self.backbone(keypoint.flatten(0, 1)))


def filled(name: str) -> tuple[nn.Module, dict]:
    golden = read_golden(f"skeletons/{name}.json.gz")
    net = Classifier(NETWORKS[name](), num_classes=60)
    assert not any(compare_state(net, golden).values())
    fill(net, golden["after_fill_scale"])
    return net.double(), golden


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_those_of_the_published_network(name):
    net, golden = filled(name)
    assert sum(p.numel() for p in net.parameters()) == golden["n_params"]
    assert compare_constants(net, golden).get("constants", 0.0) < 1e-7  # float32 on both sides
    keypoint = drawn(golden["input"]["shape"], golden["input"]["seed"], torch.float32)
    with torch.no_grad():
        logits = net.eval()(keypoint)
    assert relative(logits, torch.tensor(golden["logits"], dtype=torch.float64)) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_training_step_is_that_of_the_published_network(name):
    net, golden = filled(name)
    train = golden["train"]
    without_dropout(net)
    logits = net.train()(drawn(train["input_shape"], train["seed"], torch.float64))
    loss = nn.functional.cross_entropy(logits, torch.tensor(train["labels"]))
    loss.backward()
    assert loss.item() == pytest.approx(train["total"], rel=1e-12)
    assert max(compare_gradients(net, train).values()) < 1e-9


def test_neighbours_of_a_chain():
    """0 - 1 - 2 around the middle: worked out by hand."""
    identity, outer, inner = skeleton_graph(3, [(0, 1), (2, 1)], 1, "spatial").unbind()
    assert identity.tolist() == torch.eye(3).tolist()
    assert outer.tolist() == [[0, 0, 0], [1, 0, 1], [0, 0, 0]]
    assert inner.tolist() == [[0, 0.5, 0], [0, 0, 0], [0, 0.5, 0]]


def test_hops_of_a_chain():
    own, near, far = skeleton_graph(3, [(0, 1), (2, 1)], 1, "stgcn_spatial").unbind()
    assert torch.allclose(own, torch.diag(torch.tensor([1 / 2, 1 / 3, 1 / 2])))
    assert torch.allclose(near, torch.tensor([[0, 1, 0], [0, 0, 0], [0, 1, 0]]) / 3)
    assert torch.allclose(far, torch.tensor([[0, 0, 0], [1, 0, 1], [0, 0, 0]]) / 2)


@pytest.mark.parametrize(("links", "center"), [([(0, 3)], 0), ([(-1, 0)], 0), ([(0, 1)], 3)])
def test_joints_that_do_not_exist(links, center):
    with pytest.raises(ValueError, match=r"joint -?\d does not exist: 3 joints count from 0"):
        skeleton_graph(3, links, center, "spatial")


@pytest.mark.parametrize(("kind", "options"), VARIANTS)
def test_numbering_of_joints_does_not_matter(kind, options):
    """The same skeleton under other numbers gives the same features, for the same weights.

    Not with attention, whose gate over joints is a convolution along their numbers.
    """
    if kind is AAGCN and not options:
        options = {"gcn_attention": False}
    generator = torch.Generator().manual_seed(0)
    new_number = torch.randperm(17, generator=generator)
    renamed = [(int(new_number[a]), int(new_number[b])) for a, b in COCO["edges"]]
    small = {"base_channels": 12, "num_stages": 3, "inflate_stages": (2,), "down_stages": (3,)}
    torch.manual_seed(0)
    net = kind(**COCO, **small, **options).double().eval()
    torch.manual_seed(0)
    renumbered = kind(17, renamed, int(new_number[0]), **small, **options).double().eval()
    for ours, theirs in ((net, renumbered), (renumbered, net)):
        assert ours.state_dict().keys() == theirs.state_dict().keys()
    for one, other in zip(net.parameters(), renumbered.parameters(), strict=True):
        if one.shape[-2:] != (17, 17):
            other.data.copy_(one.data)
        else:  # small offsets are drawn joint by joint
            other.data[:, new_number[:, None], new_number] = one.data
    keypoint = torch.randn(1, 2, 8, 17, 3, dtype=torch.float64, generator=generator)
    moved = torch.empty_like(keypoint)
    moved[:, :, :, new_number] = keypoint
    with torch.no_grad():
        expected, found = net(keypoint), renumbered(moved)[..., new_number]
    assert (found - expected).abs().max() < 1e-12


@pytest.mark.parametrize(("kind", "options"), VARIANTS)
def test_shapes_and_gradients(kind, options):
    net = kind(**NTU, base_channels=12, num_stages=4, down_stages=(3,), **options)
    features = net(torch.randn(2, 2, 16, 25, 3))
    assert features.shape == (2, 2, net.out_channels, 8, 25)
    GCNHead(5, net.out_channels)(features).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_other_joints_than_the_graph_has():
    with pytest.raises(ValueError, match=r"17 joints of 2 values.*num_joints=25.*in_channels=3"):
        STGCN(**NTU, num_stages=2)(torch.randn(1, 1, 4, 17, 2))


def test_persons_of_a_network_that_tells_them_apart():
    with pytest.raises(ValueError, match=r"samples have 1 persons.*num_person=2"):
        AAGCN(**COCO, num_stages=2)(torch.randn(1, 1, 4, 17, 3))


@pytest.mark.parametrize(
    "options", [{"mode": "x"}, {"gcn_adaptive": "x"}, {"tcn_type": "x"}, {"data_bn_type": "x"}]
)
def test_unknown_words(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"{name.removeprefix('gcn_')}='x': choose "):
        STGCN(**COCO, **options)
