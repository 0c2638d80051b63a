"""Grad-CAM: the formula by hand, and for every kind of backbone a map of the right axes."""

import numpy as np
import pytest
import torch
from torch import nn

from vidrec.data.synthetic.shapes import SHAPES, draw_shape
from vidrec.inference.grad_cam import Heat, grad_cam
from vidrec.models.backbones.mvit import MViT
from vidrec.models.backbones.r2plus1d import ResNet2Plus1d
from vidrec.models.backbones.resnet import ResNet
from vidrec.models.backbones.resnet3d import ResNet3d
from vidrec.models.backbones.slowfast import ResNet3dSlowFast, SlowPathway
from vidrec.models.backbones.swin3d import SwinTransformer3D
from vidrec.models.backbones.timesformer import TimeSformer
from vidrec.models.backbones.tsm import ResNetTSM
from vidrec.models.backbones.uniformer import UniFormer
from vidrec.models.backbones.uniformerv2 import UniFormerV2
from vidrec.models.backbones.vit import VisionTransformer
from vidrec.models.backbones.x3d import X3D
from vidrec.models.feature_map import MapReader
from vidrec.models.heads.i3d import I3DHead
from vidrec.models.heads.mvit import MViTHead
from vidrec.models.heads.slowfast import SlowFastHead
from vidrec.models.heads.timesformer import TimeSformerHead
from vidrec.models.heads.trn import TRNHead
from vidrec.models.heads.tsn import TSNHead
from vidrec.models.recognizer import Recognizer2D, Recognizer3D

MEAN, STD = [100.0, 110.0, 120.0], [50.0, 55.0, 60.0]


def clip(frames, height, width=None):
    generator = torch.Generator().manual_seed(0)
    size = (frames, height, width or height, 3)
    return torch.randint(0, 256, size, generator=generator, dtype=torch.uint8)


def normalised(pixels):
    """(1, 3, T, H, W)"""
    return ((pixels.float() - torch.tensor(MEAN)) / torch.tensor(STD)).movedim(-1, 0)[None]


def test_after_mean_pooling_and_a_linear_layer_it_is_the_formula_by_hand():
    """Section 3.1: the weight of a channel is then that of the class, over the places."""
    torch.manual_seed(0)
    conv = nn.Conv3d(3, 5, 3, (1, 2, 2), 1)
    head = I3DHead(num_classes=4, in_channels=5)
    nn.init.normal_(head.fc_cls.weight)
    net = Recognizer3D(nn.Sequential(conv, nn.ReLU()), head, MEAN, STD).eval()
    pixels = clip(4, 8, 12)
    with torch.no_grad():
        values = conv(normalised(pixels)).relu()[0]  # (5, 4, 4, 6)
    for label in range(4):
        weights = head.fc_cls.weight[label].detach()
        by_hand = sum(w * channel for w, channel in zip(weights, values, strict=True)) / 96
        found = grad_cam(net, pixels, label)
        np.testing.assert_allclose(found.map, by_hand.clip(min=0).numpy(), atol=1e-6)


def test_the_maps_of_several_pathways_add_up_to_the_logit():
    class Pathways(nn.Module):
        def __init__(self):
            super().__init__()
            self.slow, self.fast = nn.Conv3d(3, 4, 1, (2, 4, 4)), nn.Conv3d(3, 2, 1, (1, 2, 2))

        def forward(self, x):
            return self.slow(x).exp(), self.fast(x).exp()

    torch.manual_seed(0)
    head = SlowFastHead(num_classes=2, in_channels=6)
    nn.init.uniform_(head.fc_cls.weight)  # so that the ReLU takes nothing away
    net = Recognizer3D(Pathways(), head, MEAN, STD).eval()
    pixels = clip(4, 8)
    found = grad_cam(net, pixels, 1)
    with torch.no_grad():
        logit = net({"video": pixels[None, None]})["logits"][0, 0, 1] - head.fc_cls.bias[1]
    assert found.map.shape == (4, 4, 4)
    assert found.map.mean() * 8 == pytest.approx(float(logit), rel=1e-4)  # 8 places of the slow one


def two_d(backbone, channels, **options):
    return Recognizer2D(backbone, TSNHead(3, channels, **options), MEAN, STD)


def three_d(backbone, channels, head=I3DHead, **options):
    return Recognizer3D(backbone, head(3, channels, **options), MEAN, STD)


def small_slowfast():
    slow = SlowPathway(18, 4, 4, base_channels=8)
    fast = ResNet3d(18, base_channels=2, conv1_kernel=(5, 7, 7), with_pool2=False)
    return three_d(ResNet3dSlowFast(slow, fast, 4, 4, 4), 80, SlowFastHead)


VIT = {"img_size": 32, "patch_size": 8, "embed_dims": 16, "num_heads": 2}
MVIT = {"embed_dims": 8, "num_layers": 4, "num_heads": 1, "downscale_indices": [1, 2, 3]}
SWIN = {"embed_dims": 8, "depths": [1, 2], "num_heads": [1, 2]}
V2 = {"input_resolution": 32, "patch_size": 8, "width": 12, "layers": 3, "heads": 3, "n_head": 2}

# The network, frames and size of the clip, the shape of the map.
KINDS = {
    "tsn": (lambda: two_d(ResNet(18, num_stages=3), 256), 3, 64, (3, 4, 4)),
    "tsm": (lambda: two_d(ResNetTSM(18, num_segments=4, num_stages=3), 256), 4, 64, (4, 4, 4)),
    "trn": (
        lambda: Recognizer2D(ResNet(18, num_stages=2), TRNHead(3, 128, 4, init_std=0.1), MEAN, STD),
        *(4, 32, (4, 4, 4)),
    ),
    "i3d": (lambda: three_d(ResNet3d(18, base_channels=4), 32), 8, 64, (4, 2, 2)),
    "r2plus1d": (lambda: three_d(ResNet2Plus1d(18, base_channels=4), 32), 8, 64, (1, 2, 2)),
    "x3d": (lambda: three_d(X3D(0.5, 1.0, 1.0), 128), 4, 64, (4, 2, 2)),
    "slowfast": (small_slowfast, 16, 64, (16, 2, 2)),
    "timesformer": (
        lambda: three_d(
            TimeSformer(4, num_transformer_layers=2, **VIT), 16, TimeSformerHead, init_std=1.0
        ),
        *(4, 32, (4, 4, 4)),
    ),
    "timesformer_space": (
        lambda: three_d(
            TimeSformer(4, num_transformer_layers=2, attention_type="space_only", **VIT),
            *(16, TimeSformerHead),
            init_std=1.0,
        ),
        *(4, 32, (4, 4, 4)),
    ),
    "videomae": (
        lambda: three_d(
            VisionTransformer(depth=2, num_frames=4, **VIT), 16, TimeSformerHead, init_std=1.0
        ),
        *(4, 32, (2, 4, 4)),
    ),
    "mvit": (
        lambda: three_d(MViT(MVIT, spatial_size=64, temporal_size=4), 64, MViTHead, init_std=1.0),
        *(4, 64, (2, 4, 4)),
    ),
    "swin3d": (
        lambda: three_d(SwinTransformer3D(SWIN, window_size=(2, 3, 3), out_indices=[1]), 16),
        *(4, 32, (2, 4, 4)),
    ),
    "uniformer": (
        lambda: three_d(UniFormer([1, 1, 1, 1], embed_dim=[8, 8, 16, 16], head_dim=8), 16),
        *(4, 64, (2, 2, 2)),
    ),
    "uniformerv2": (
        lambda: three_d(
            UniFormerV2(return_list=[0, 2], mlp_dropout=[0.5, 0.5], **V2),
            *(12, TimeSformerHead),
            init_std=1.0,
        ),
        *(4, 32, (4, 4, 4)),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_backbone_has_a_map_for_each_class(kind):
    build, frames, size, shape = KINDS[kind]
    torch.manual_seed(0)
    net = build().eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if parameter.ndim > 1 and not parameter.any():  # layers that start at zero
                nn.init.normal_(parameter, std=0.3)
            if name.endswith("bn.weight"):
                nn.init.ones_(parameter)
    pixels = clip(frames, size)
    maps = [grad_cam(net, pixels, label).map for label in range(3)]
    for found in maps:
        assert found.shape == shape
        assert np.isfinite(found).all()
        assert (found >= 0).all()
    assert sum(found.any() for found in maps) >= 2
    assert not np.allclose(maps[0], maps[1])
    assert all(parameter.grad is None for parameter in net.parameters())


def test_tokens_are_read_in_the_order_in_which_each_network_keeps_them():
    """Frames of one grey each: without positions, tokens then depend on the frame alone."""
    for backbone, times in (
        (TimeSformer(4, num_transformer_layers=1, **VIT), 4),
        (VisionTransformer(depth=1, num_frames=4, tubelet_size=1, **VIT), 4),
    ):
        with torch.no_grad():
            backbone.pos_embed.zero_()
            seen = []
            backbone.pos_drop.register_forward_hook(lambda _, __, out: seen.append(out))  # noqa: B023
            greys = torch.arange(1.0, 5.0)[None, None, :, None, None].expand(1, 3, 4, 32, 32)
            backbone.eval()(greys)
        reader = MapReader((4, 32, 32), isinstance(backbone, TimeSformer))
        reader.see(torch.zeros(1, times, 4, 4, 16))  # as the embedding of patches returns it
        tokens = reader.read(seen[-1])
        assert tokens.shape == (1, 16, 4, 4, 4)
        assert tokens.std(dim=(3, 4)).max() < 1e-5
        assert tokens.std(dim=2).max() > 0.1


def test_a_network_without_maps_says_so():
    class Pooled(nn.Module):
        def forward(self, x):
            return x.mean(dim=(2, 3, 4), keepdim=True)

    net = Recognizer3D(Pooled(), I3DHead(num_classes=2, in_channels=3), MEAN, STD).eval()
    with pytest.raises(ValueError, match="Pooled has no layer with a map over rows and columns"):
        grad_cam(net, clip(2, 8), 0)


def test_a_layer_is_chosen_by_name():
    torch.manual_seed(0)
    net = KINDS["i3d"][0]().eval()
    pixels = clip(8, 64)
    assert grad_cam(net, pixels, 0, "layer2").map.shape == (4, 8, 8)
    assert grad_cam(net, pixels, 0, "backbone.layer1.0").map.shape == (8, 16, 16)
    with pytest.raises(ValueError, match=r"layer=layer9 is no layer of the network; did you mean"):
        grad_cam(net, pixels, 0, "layer9")
    with pytest.raises(ValueError, match=r"layer=cls_head gives no map over rows and columns"):
        grad_cam(net, pixels, 0, "cls_head")


def test_over_the_frames_the_highest_place_is_one():
    heat = Heat(np.array([[[0.0, 2.0], [0.0, 0.0]]], np.float32), "layer").over_frames(3, 8, 8)
    assert heat.shape == (3, 8, 8)
    assert heat.max() == 1
    assert heat[:, :2, 6:].min() > 0.8 > 0.1 > heat[:, 6:, :2].max()
    assert not Heat(np.zeros((1, 2, 2), np.float32), "layer").over_frames(3, 8, 8).any()


def drawn(count, seed):
    """Clips of shapes (count, 4, 64, 64, 3) uint8 and their classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(SHAPES)
    clips = [draw_shape(SHAPES[label], rng, 4)[:, 4:68, 4:68] for label in labels]
    return torch.from_numpy(np.stack(clips)), torch.from_numpy(labels)


def box_of_shape(frame):
    """Rows and columns of what is colourful, and 4 pixels around: the background is nearly grey."""
    rows, columns = np.nonzero(frame.max(axis=-1).astype(int) - frame.min(axis=-1) > 90)
    return (
        slice(max(rows.min() - 4, 0), rows.max() + 5),
        slice(max(columns.min() - 4, 0), columns.max() + 5),
    )


def fitted(net, steps):
    """The network, trained on shapes for some steps of 16 clips."""
    videos, labels = drawn(256, seed=0)
    order = torch.randperm(16 * steps) % len(videos)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    for rows in order.split(16):
        logits = net({"video": videos[rows, None]})["logits"][:, 0]
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits, labels[rows]).backward()
        optimizer.step()
        schedule.step()
    return net.eval()


TRAINED = {
    "tsn": (
        lambda: Recognizer2D(
            ResNet(18, num_stages=1), TSNHead(8, 64, dropout_ratio=0.0), MEAN, STD
        ),
        40,
    ),
    "i3d": (
        lambda: Recognizer3D(
            ResNet3d(18, num_stages=2, base_channels=16, conv1_stride_t=1, pool1_stride_t=1),
            *(I3DHead(8, 32, dropout_ratio=0.0), MEAN, STD),
        ),
        60,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", TRAINED)
def test_a_trained_network_looks_at_the_shape(kind):
    """Most of the heat is in the box of the shape, which takes less than half of the frame."""
    torch.manual_seed(0)
    build, steps = TRAINED[kind]
    net = fitted(build(), steps)
    inside, area, right = [], [], []
    for video, label in zip(*drawn(24, seed=1), strict=True):
        with torch.no_grad():
            best = int(net({"video": video[None, None]})["logits"].argmax())
        right.append(best == int(label))
        heat = grad_cam(net, video, best).over_frames(*video.shape[:3])
        boxes = [box_of_shape(frame) for frame in video.numpy()]
        within = [part[box] for part, box in zip(heat, boxes, strict=True)]
        inside.append(sum(part.sum() for part in within) / heat.sum())
        area.append(sum(part.size for part in within) / heat.size)
    assert np.mean(right) >= 0.9
    assert np.mean(area) < 0.5
    assert np.mean(inside) >= 0.7  # 0.94 and 0.81 were measured
    assert min(inside) >= 0.5
