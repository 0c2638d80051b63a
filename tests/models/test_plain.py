"""A plain network is the recognizer without batches, views and normalisation."""

import copy
import pickle
from functools import cache

import numpy as np
import pytest
import torch

import vidrec
from vidrec.models.plain import PlainConfig, PlainModel

SMALL = ["model.net.backbone.num_stages=2", "model.net.cls_head.in_channels=128"]


def normalised(video, net):
    """(N, T, H, W, C) uint8 -> x."""
    x = (video / 255 - torch.tensor(net.mean)) / torch.tensor(net.std)
    return x.permute(0, 4, 1, 2, 3)


def compare(name, overrides, num_frames, size):
    """The reference: the recognizer with the plain network's weights, on the frames themselves."""
    torch.manual_seed(0)
    plain = vidrec.create_model(name, *overrides, num_classes=5).eval()
    whole = vidrec.build_model(
        vidrec.compose(f"model={name}", "data.num_classes=5", *overrides)
    ).eval()
    # Each loads what the other saves.
    whole.load_state_dict(plain.state_dict())
    plain.load_state_dict(whole.state_dict())
    video = np.random.default_rng(0).integers(0, 256, (2, num_frames, size, size, 3), np.uint8)
    video = torch.from_numpy(video)
    expected = whole({"video": video[:, None]})["logits"][:, 0]
    torch.testing.assert_close(plain(normalised(video, plain)), expected, rtol=1e-4, atol=1e-5)
    assert plain.num_classes == 5
    assert plain.config.frames == num_frames
    return plain, normalised(video, plain)


@pytest.fixture
def net():
    """A small network, to be changed."""
    return copy.deepcopy(_net())


@cache
def _net():
    torch.manual_seed(0)
    return vidrec.create_model("tsn_tiny", *SMALL, num_classes=5)


@torch.no_grad()
def test_a_network_over_frames():
    net, x = compare("tsn_tiny", SMALL, 3, 32)
    assert net.forward_features(x).shape == (2, 3, 128, 4, 4)
    assert torch.equal(net.forward_head(net.forward_features(x)), net(x))


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "frames", "size"),
    [
        ("tsm_tiny", 8, 32), ("x3d_tiny", 8, 32), ("uniformer_tiny", 8, 32), ("slowfast", 32, 64),
        ("trn", 8, 64), ("tpn_tsm", 8, 64), ("video", 16, 64),
    ],
)  # fmt: skip
def test_networks_of_every_kind_and_their_classifiers(name, frames, size):
    net, x = compare(name, [], frames, size)
    if name == "video":
        with pytest.raises(ValueError, match=r"inside its backbone.*reset_classifier\(0\)"):
            net.forward_features(x)
    else:
        assert torch.equal(net.forward_head(net.forward_features(x)), net(x))
    before = net(x)
    net.reset_classifier(7)
    assert net(x).shape == (2, 7)
    net.reset_classifier(0)
    features = net(x)
    assert features.shape[0] == 2
    assert features.shape != before.shape


@torch.no_grad()
def test_features_times_the_classifier_are_the_logits(net):
    x = torch.randn(2, 3, 3, 32, 32)
    classifier, expected = net.cls_head.fc_cls, net.eval()(x)
    net.reset_classifier(0)
    assert net.num_classes == 0
    torch.testing.assert_close(classifier(net(x)), expected)
    with pytest.raises(ValueError, match="the classifier is gone"):
        net.reset_classifier(3)


def test_a_new_classifier_is_trained_like_any_layer(net):
    net.reset_classifier(3)
    assert net.config.num_classes == 3
    x = torch.randn(4, 3, 3, 32, 32)
    torch.nn.functional.cross_entropy(net(x), torch.arange(4) % 3).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(other.eval()(x), net.eval()(x))


def test_what_is_no_normalised_clip_is_refused(net):
    with pytest.raises(ValueError, match=r"x is torch.uint8 of shape .*x = \(pixels / 255 - mean"):
        net(torch.zeros(1, 3, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"shape \(3, 3, 32, 32\), expected are float clips"):
        net(torch.zeros(3, 3, 32, 32))
    config = PlainConfig("mine", 5, 3, 3, 1, 32, (0.5,), (0.5,))
    with pytest.raises(ValueError, match="mine builds a Linear, which has no plain form"):
        PlainModel(torch.nn.Linear(1, 1), config, [])
