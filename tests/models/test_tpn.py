"""The pyramid against its paths written out, and its auxiliary classifier in the network."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vidrec.losses.classification import CrossEntropy
from vidrec.models.backbones.tsm import ResNetTSM
from vidrec.models.heads.i3d import I3DHead
from vidrec.models.necks.tpn import TPN
from vidrec.models.recognizer import Recognizer2D


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def neck(flow="cascade", num_classes=5):
    net = TPN([32, 64, 128], num_classes, 32, 64, temporal_scale=2, flow=flow).double().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.running_mean)
    return net


def levels(num_frames=4):
    return [drawn(2, c, num_frames, size, size) for c, size in ((32, 8), (64, 4), (128, 2))]


def bn_relu(module, x):
    return F.relu(module.bn(module.conv(x)))


@pytest.mark.parametrize("flow", ["cascade", "parallel"])
def test_paths_from_the_top_and_from_the_bottom(flow):
    net, (low, middle, high) = neck(flow), levels()
    space = net.spatial_modulation.spatial_modulation
    spatial = [
        bn_relu(space[0][1], bn_relu(space[0][0], low)),
        bn_relu(space[1][0], middle),
        high,
    ]
    a, b, c = (
        F.max_pool3d(modulation.conv.conv(x), (2, 1, 1))
        for modulation, x in zip(net.temporal_modulation_ops, spatial, strict=True)
    )
    down = [wrapped.conv.conv for wrapped in net.downsample_ops]
    top = [a + b + c, b + c, c]
    start = top if flow == "cascade" else [a, b, c]
    bottom = [start[0], start[1] + down[0](start[0])]
    bottom.append(start[2] + down[1](bottom[1]))

    def fused(fusion, maps):
        pairs = zip(fusion.downsamples, maps, strict=True)
        return bn_relu(fusion.fusion_conv, torch.cat([bn_relu(w.conv, x) for w, x in pairs], 1))

    both = [fused(net.level_fusion_1, top), fused(net.level_fusion_2, bottom)]
    expected = bn_relu(net.pyramid_fusion, torch.cat(both, 1))
    result, auxiliary = net([low, middle, high])
    assert auxiliary is None
    assert result.shape == (2, 64, 2, 2, 2)
    torch.testing.assert_close(result, expected)


def test_frames_left_over_make_one_more():
    assert neck()(levels(num_frames=5))[0].shape[2] == 3


def test_auxiliary_classifier_sees_the_last_but_one_level_in_training_alone():
    net = neck().train()
    net.aux_head.eval()
    maps = levels()
    _, auxiliary = net(maps)
    expected = bn_relu(net.aux_head.conv, maps[1]).mean(dim=(2, 3, 4))
    torch.testing.assert_close(auxiliary, net.aux_head.fc(expected))
    assert net.eval()(maps)[1] is None
    assert neck(num_classes=None).train()(maps)[1] is None


def test_network_trains_with_both_classifiers():
    net = Recognizer2D(
        ResNetTSM(18, num_segments=2, num_stages=2, out_indices=[0, 1]),
        I3DHead(5, 64, dropout_ratio=0.0),
        mean=[0.0],
        std=[1.0],
        neck=TPN([64, 128], 5, 32, 64, temporal_scale=2, dropout_ratio=0.0),
    )
    clips = drawn(2, 1, 2, 3, 32, 32).float()
    outputs = net.train().outputs(clips)
    batch = {"label": torch.tensor([3, 1])}
    losses = CrossEntropy(auxiliary_weight=0.25)(outputs, batch)
    main, auxiliary = (
        F.cross_entropy(outputs[name][:, 0], batch["label"])
        for name in ("logits", "auxiliary_logits")
    )
    torch.testing.assert_close(losses["loss"], main + 0.25 * auxiliary)
    torch.testing.assert_close(losses["loss_aux"], 0.25 * auxiliary)
    torch.testing.assert_close(losses["loss_cls"], main)
    losses["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert set(net.eval().outputs(clips)) == {"logits"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": [2048]}, r"in_channels=\[2048\]"),
        ({"in_channels": [96, 128]}, r"in_channels=\[96, 128\]"),
        ({"in_channels": [64, 128], "flow": "both"}, "flow='both'"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        TPN(num_classes=None, out_channels=32, **options)
