"""Recognizer2D: normalisation, views, and what a training loop does to it."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from vidrec.models.backbones.resnet import ResNet
from vidrec.models.heads.tsn import TSNHead
from vidrec.models.recognizer import Recognizer2D

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


class Thumbnail(nn.Module):
    """A quick backbone that is not invariant to mirroring: a convolution of stride 4."""

    def __init__(self, in_channels=3):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 8, 5, stride=4)

    def forward(self, x):
        return self.conv(x).square()


class Spy(nn.Module):
    """Keeps what the backbone is given."""

    def forward(self, x):
        self.images = x
        return x


def small_net(average_clips="prob", joint_views=True, channels=3, **options):
    torch.manual_seed(0)
    head = TSNHead(5, 8, dropout_ratio=0.5, init_std=0.5, joint_views=joint_views)
    mean, std = (MEAN, STD) if channels == 3 else ([128.0], [128.0])
    return Recognizer2D(Thumbnail(channels), head, mean, std, average_clips, **options)


def clip_batch(samples=2, views=3, frames=4, size=16, channels=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (samples, views, frames, size, size, channels)
    video = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return {"video": video, "label": torch.arange(samples), "index": torch.arange(samples)}


def view_batch(samples=2, views=6, frames=2):
    generator = torch.Generator().manual_seed(1)
    video = torch.randint(0, 256, (samples, 7, 20, 24, 3), dtype=torch.uint8, generator=generator)
    corner = torch.randint(0, 5, (samples, views, 2), generator=generator)
    size = torch.full((samples, views, 2), 16)
    mirrored = torch.randint(0, 2, (samples, views, 1), generator=generator)
    return {
        "video": video,
        "frames": torch.randint(0, 7, (samples, views, frames), generator=generator),
        "crop": torch.cat([corner, size, mirrored], dim=2),
        "label": torch.arange(samples),
        "index": torch.arange(samples),
    }


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_backbone_sees_normalised_channels_last_images(dtype):
    spy = Spy()
    net = Recognizer2D(spy, TSNHead(5, 3), MEAN, STD)
    batch = clip_batch()
    video = batch["video"].to(dtype)
    before = video.clone()
    net({"video": video})
    frames = batch["video"].numpy().astype(np.float64).reshape(24, 16, 16, 3)
    expected = ((frames - MEAN) / STD).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(spy.images.numpy(), expected, atol=2e-6)
    assert spy.images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(video, before)


def test_optical_flow_has_as_many_channels_as_the_stacked_frames():
    spy = Spy()
    batch = clip_batch(channels=10)
    Recognizer2D(spy, TSNHead(5, 10), [128.0], [128.0])(batch)
    expected = (batch["video"].double() - 128) / 128
    assert torch.equal(spy.images.double(), expected.flatten(0, 2).permute(0, 3, 1, 2))


def test_autocast_normalises_in_float32_first():
    spy = Spy()
    net = Recognizer2D(spy, TSNHead(5, 3), MEAN, STD)
    batch = clip_batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        net(batch)
    assert spy.images.dtype == torch.bfloat16
    exact = (batch["video"].double() - torch.tensor(MEAN)) / torch.tensor(STD)
    error = (spy.images.double() - exact.flatten(0, 2).permute(0, 3, 1, 2)).abs()
    assert error.max() <= 2.64 / 256  # half a step of bfloat16 at the largest value


def test_logits_do_not_depend_on_the_order_of_frames():
    net, batch = small_net().eval(), clip_batch()
    shuffled = {"video": batch["video"][:, :, [2, 0, 3, 1]]}
    torch.testing.assert_close(net(shuffled)["logits"], net(batch)["logits"])


def test_views_are_scored_apart():
    net, batch = small_net().eval(), clip_batch()
    alone = net({"video": batch["video"][:, 1:2]})["logits"]
    torch.testing.assert_close(net(batch)["logits"][:, 1:2], alone)


def test_published_scores_pool_all_crops_and_segments_before_the_softmax():
    net, batch = small_net("prob").eval(), clip_batch()
    images = (batch["video"].double() - torch.tensor(MEAN)) / torch.tensor(STD)
    features = net.backbone(images.flatten(0, 2).permute(0, 3, 1, 2).float())
    pooled = features.mean(dim=(2, 3)).view(2, 12, 8).mean(dim=1)
    expected = (pooled @ net.cls_head.fc_cls.weight.T + net.cls_head.fc_cls.bias).softmax(dim=1)
    torch.testing.assert_close(net.predict(batch)["scores"], expected.detach())


def test_scores_of_views_apart():
    batch = clip_batch()
    logits = small_net().eval()(batch)["logits"].detach().numpy()
    softmax = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    for average_clips, expected in (
        ("prob", softmax.mean(axis=1)),
        ("score", logits.mean(axis=1)),
        ("none", logits),
        (None, logits),
    ):
        scores = small_net(average_clips, joint_views=False).eval().predict(batch)["scores"]
        np.testing.assert_allclose(scores.numpy(), expected, rtol=1e-5, atol=1e-6)
        assert scores.dtype == torch.float32


@pytest.mark.parametrize("make", [clip_batch, view_batch])
def test_chunks_bound_the_images_of_a_pass_and_change_no_score(make):
    batch = make(samples=3, views=5, frames=2)
    expected = small_net("none").eval().predict(batch)["scores"]
    for max_test_images in (1, 2, 5, 7, 12, 29, 30, 1000):
        net = small_net("none", max_test_images=max_test_images).eval()
        sizes = []
        net.backbone.register_forward_hook(
            lambda _, args, __, sizes=sizes: sizes.append(len(args[0]))
        )
        torch.testing.assert_close(net.predict(batch)["scores"], expected)
        assert max(sizes) <= max(2, max_test_images)
        assert sum(sizes) == 30


def test_crops_cut_on_the_device_score_as_clips_cut_before():
    net, batch = small_net().eval(), view_batch()
    clips = torch.empty(2, 6, 2, 16, 16, 3, dtype=torch.uint8)
    for n, v, t in np.ndindex(2, 6, 2):
        left, top, width, height, mirrored = batch["crop"][n, v].tolist()
        frame = batch["video"][n, batch["frames"][n, v, t]]
        frame = frame[top : top + height, left : left + width]
        clips[n, v, t] = frame.flip(1) if mirrored else frame
    assert 0 < batch["crop"][..., 4].sum() < 12
    expected = net.predict({"video": clips})["scores"]
    torch.testing.assert_close(net.predict(batch)["scores"], expected)


def test_prediction_is_float32_and_without_gradient_in_half_precision():
    net, batch = small_net("score").eval(), clip_batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = net.predict(batch)["scores"]
    assert scores.dtype == torch.float32
    assert not scores.requires_grad
    torch.testing.assert_close(scores, net.predict(batch)["scores"], rtol=0.05, atol=0.05)


def test_dropout_acts_on_the_average_of_frames_in_training_only():
    head = TSNHead(2, 1000, dropout_ratio=0.5)
    seen = []
    head.fc_cls.register_forward_hook(lambda _, args, __: seen.append(args[0]))
    features = torch.ones(6, 1000, 2, 2)
    head.train()(features, 3)
    head.eval()(features, 3)
    assert set(seen[0].unique().tolist()) == {0.0, 2.0}
    assert (seen[1] == 1).all()


def real_net(**options):
    head = TSNHead(5, 512, dropout_ratio=0.0)
    return Recognizer2D(ResNet(18, **options), head, MEAN, STD)


def test_checkpoint_holds_the_published_names_only():
    names = set(real_net().state_dict())
    assert len(names) == 122
    assert {name.split(".")[0] for name in names} == {"backbone", "cls_head"}
    assert {"cls_head.fc_cls.weight", "backbone.layer1.0.conv1.conv.weight"} <= names


def test_every_parameter_has_a_gradient():
    """Distributed training waits for each of them."""
    net = real_net()
    net(clip_batch(views=1, size=32))["logits"].sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_averaged_copy_stands_alone():
    net, batch = real_net(), clip_batch(views=1, size=32)
    twin = copy.deepcopy(net).eval()
    before = twin(batch)["logits"]
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1.0)
    assert torch.equal(twin(batch)["logits"], before)


@pytest.mark.slow
def test_compiled_network_gives_the_same_gradients():
    net, batch = small_net().eval(), clip_batch()
    twin = copy.deepcopy(net)
    net(batch)["logits"].square().sum().backward()
    torch.compile(twin, backend="aot_eager")(batch)["logits"].square().sum().backward()
    for parameter, other in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(other.grad, parameter.grad)


def test_impossible_options_are_named():
    with pytest.raises(ValueError, match="differ in length"):
        Recognizer2D(Spy(), TSNHead(5, 3), MEAN, [1.0])
    with pytest.raises(ValueError, match="average_clips='mean'"):
        Recognizer2D(Spy(), TSNHead(5, 3), MEAN, STD, average_clips="mean")
    with pytest.raises(ValueError, match="3 values, but frames have 10 channels"):
        Recognizer2D(Spy(), TSNHead(5, 10), MEAN, STD)(clip_batch(channels=10))


def test_a_head_for_other_channels_is_refused_before_anything_is_decoded():
    with pytest.raises(ValueError, match=r"set model\.net\.cls_head\.in_channels=512"):
        Recognizer2D(ResNet(18), TSNHead(2, in_channels=2048), mean=[0.0], std=[1.0])
