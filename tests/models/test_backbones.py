"""What every backbone promises: the properties that tasks and the engine rely on."""

import copy
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import nn

from vidrec.models.backbones.c2d import C2D
from vidrec.models.backbones.c3d import C3D
from vidrec.models.backbones.csn import ResNet3dCSN
from vidrec.models.backbones.image import ImageBackbone
from vidrec.models.backbones.mobilenet_v2 import MobileNetV2
from vidrec.models.backbones.mobileone import MobileOne
from vidrec.models.backbones.mvit import MViT
from vidrec.models.backbones.omni_resnet import OmniResNet
from vidrec.models.backbones.r2plus1d import ResNet2Plus1d
from vidrec.models.backbones.resnet import ResNet
from vidrec.models.backbones.resnet3d import ResNet3d, ResNet3dSlowOnly
from vidrec.models.backbones.slowfast import ResNet3dSlowFast, SlowPathway
from vidrec.models.backbones.swin3d import SwinTransformer3D
from vidrec.models.backbones.tanet import TANet
from vidrec.models.backbones.timesformer import TimeSformer
from vidrec.models.backbones.tin import ResNetTIN
from vidrec.models.backbones.tsm import MobileNetV2TSM, MobileOneTSM, ResNetTSM
from vidrec.models.backbones.uniformer import UniFormer
from vidrec.models.backbones.uniformerv2 import UniFormerV2
from vidrec.models.backbones.vit import VisionTransformer
from vidrec.models.backbones.x3d import X3D
from vidrec.models.layers.freeze import batch_norms

FRAMES = 4  # of a clip; a batch has two clips


class Backbone(NamedTuple):
    """A small network, and the options that some of them have.

    input: of one clip, (T, C, H, W) for networks over frames, else (C, T, H, W).
    checkpointing: recompute activations.
    frozen: options, and the modules that they freeze; at least one has to be left.
    """

    make: Callable[..., nn.Module]
    input: tuple[int, ...]
    checkpointing: dict[str, object] | None = None
    frozen: tuple[dict[str, object], tuple[str, ...]] | None = None


IMAGES, CLIPS = (FRAMES, 3, 32, 32), (3, FRAMES, 32, 32)
STAGES = {"checkpoint_stages": [1, 2, 3, 4]}
STEM_AND_STAGE = ({"frozen_stages": 1}, ("conv1", "layer1"))


def resnet(kind, **own):
    return Backbone(lambda **options: kind(18, **own, **options), IMAGES, STAGES, STEM_AND_STAGE)


def resnet3d(kind, depth=18, **own):
    return Backbone(
        lambda **options: kind(depth, base_channels=4, **own, **options),
        CLIPS,
        STAGES,
        STEM_AND_STAGE,
    )


def slowfast(**options):
    return ResNet3dSlowFast(
        SlowPathway(18, 2, 4, lateral_norm=True, base_channels=16, **options),
        ResNet3d(18, base_channels=4, with_pool2=False, **options),
        resample_rate=2,
        speed_ratio=2,
        channel_ratio=4,
    )


DROPS = {"drop_rate": 0.1, "attn_drop_rate": 0.1, "drop_path_rate": 0.3}
SWIN = {"embed_dims": 8, "depths": [2, 3], "num_heads": [1, 2]}
MVIT = {"embed_dims": 8, "num_layers": 4, "num_heads": 1, "downscale_indices": [1, 2, 3]}
VIT = {"img_size": 32, "patch_size": 8, "embed_dims": 12, "depth": 2, "num_heads": 3}
TIMESFORMER = {"img_size": 32, "embed_dims": 12, "num_heads": 3, "num_transformer_layers": 2}
UNIFORMER = {"depth": [1, 2, 1, 2], "embed_dim": [8, 8, 16, 16], "head_dim": 8}
UNIFORMERV2 = {"width": 12, "layers": 3, "heads": 3, "n_head": 2, "return_list": [0, 2]}
TIMM_VIT = {"img_size": 32, "embed_dim": 24, "depth": 2, "num_heads": 2}
CP = {"with_cp": True}


def transformer(kind, frozen=None, **own):
    return Backbone(lambda **options: kind(**own, **options), CLIPS, CP, frozen)


def timesformer(kind):
    return transformer(
        TimeSformer,
        attention_type=kind,
        num_frames=FRAMES,
        dropout_ratio=0.1,
        drop_path_rate=0.3,
        **TIMESFORMER,
    )


BACKBONES = {
    "resnet": resnet(ResNet),
    "resnet_tsm": resnet(ResNetTSM, num_segments=FRAMES),
    "resnet_tsm_non_local": resnet(
        ResNetTSM,
        num_segments=FRAMES,
        shift_place="block",
        non_local=[[0, 1], [1, 0], [0, 0], [0, 0]],
    ),
    "resnet_tin": resnet(ResNetTIN, num_segments=FRAMES),
    "tanet": resnet(TANet, num_segments=FRAMES),
    "c2d": resnet(C2D)._replace(input=CLIPS),
    "mobilenet_v2": Backbone(
        lambda **options: MobileNetV2(0.25, **options), IMAGES, STAGES, STEM_AND_STAGE
    ),
    "mobilenet_v2_tsm": Backbone(
        lambda **options: MobileNetV2TSM(FRAMES, widen_factor=0.25, **options),
        IMAGES,
        STAGES,
        STEM_AND_STAGE,
    ),
    "mobileone": Backbone(
        lambda **options: MobileOne("s0", **options),
        IMAGES,
        None,
        ({"frozen_stages": 1}, ("stage0", "stage1")),
    ),
    "mobileone_tsm": Backbone(
        lambda **options: MobileOneTSM("s0", FRAMES, **options),
        IMAGES,
        None,
        ({"frozen_stages": 1}, ("stage0", "stage1")),
    ),
    "timm_resnet": Backbone(
        lambda **options: ImageBackbone("resnet18", **options), IMAGES, {"checkpointing": True}
    ),
    "timm_vit": Backbone(
        lambda **options: ImageBackbone("vit_tiny_patch16_224", options=TIMM_VIT, **options),
        IMAGES,
        {"checkpointing": True},
    ),
    "torchvision_mnasnet": Backbone(lambda: ImageBackbone("torchvision/mnasnet0_5"), IMAGES),
    "resnet3d": resnet3d(ResNet3d, non_local=(0, 1, 1, 0)),
    "slow_only": resnet3d(ResNet3dSlowOnly),
    "csn": resnet3d(ResNet3dCSN, 50),
    "r2plus1d": resnet3d(ResNet2Plus1d),
    "slowfast": Backbone(
        slowfast,
        CLIPS,
        STAGES,
        (
            {"frozen_stages": 1},
            tuple(
                f"{path}_path.{name}"
                for path in ("slow", "fast")
                for name in ("conv1", "layer1", "conv1_lateral", "layer1_lateral")
                if path == "slow" or "lateral" not in name
            ),
        ),
    ),
    "x3d": Backbone(
        lambda **options: X3D(base_channels=8, gamma_d=0.2, **options),
        CLIPS,
        STAGES,
        ({"frozen_stages": 1}, ("conv1_s", "conv1_t", "layer1")),
    ),
    "omni_resnet": Backbone(OmniResNet, CLIPS),
    "c3d": Backbone(lambda: C3D(out_dim=2048), (3, 16, 32, 32)),
    "swin3d": transformer(
        SwinTransformer3D,
        arch=SWIN,
        window_size=(2, 3, 3),
        out_indices=[1],
        frozen=({"frozen_stages": 1}, ("patch_embed", "layers.0")),
        **DROPS,
    ),
    "mvit": transformer(MViT, arch=MVIT, spatial_size=32, temporal_size=4, drop_path_rate=0.4),
    "vit": transformer(VisionTransformer, num_frames=FRAMES, **VIT, **DROPS),
    "vit_map": transformer(VisionTransformer, num_frames=FRAMES, return_feat_map=True, **VIT),
    "timesformer_divided": timesformer("divided_space_time"),
    "timesformer_joint": timesformer("joint_space_time"),
    "timesformer_space": timesformer("space_only"),
    "uniformer": transformer(UniFormer, **UNIFORMER, **DROPS),
    "uniformerv2": transformer(
        UniFormerV2,
        input_resolution=32,
        patch_size=16,
        mlp_dropout=[0.5, 0.5],
        drop_path_rate=0.3,
        backbone_drop_path_rate=0.3,
        **UNIFORMERV2,
    ),
}
RECOMPUTING = [name for name, backbone in BACKBONES.items() if backbone.checkpointing]
QUICK_TO_EXPORT = ("slow_only", "timesformer_space", "uniformerv2", "vit")
FREEZING = [name for name, backbone in BACKBONES.items() if backbone.frozen]


def build(name, **options):
    """A network without parts that start at zero or as the identity."""
    torch.manual_seed(0)
    net = BACKBONES[name].make(**options)
    for parameter in net.parameters():
        if parameter.ndim < 2 or not parameter.any():
            nn.init.uniform_(parameter, 0.1, 0.5)
    return net


def batch(name, clips=2):
    """Two different clips; those of networks over frames one behind the other."""
    shape = BACKBONES[name].input
    x = torch.randn(clips, *shape, generator=torch.Generator().manual_seed(1))
    return x.flatten(0, 1) if shape == IMAGES else x


def outputs(features):
    return [features] if isinstance(features, torch.Tensor) else list(features)


def step(net, x):
    """Gradients and statistics after one training step."""
    torch.manual_seed(2)
    sum(out.square().sum() for out in outputs(net.train()(x))).backward()
    return {name: p.grad for name, p in net.named_parameters()}, dict(net.named_buffers())


@pytest.mark.parametrize("name", BACKBONES)
def test_evaluation_is_independent_of_the_batch_and_gives_out_channels(name):
    net, x = build(name), batch(name)
    with torch.no_grad():
        for norm in batch_norms(net):
            norm.momentum = 1.0
        net.train()(x)  # without statistics of its own, the deepest of them forget their input
        together = outputs(net.eval()(x))
        apart = [outputs(net(clip)) for clip in x.chunk(2)]
    for index, out in enumerate(together):
        assert out.abs().max() > 0
        expected = torch.cat([outs[index] for outs in apart])
        torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5 * out.abs().max().item())
        half = len(out) // 2
        assert not torch.allclose(out[:half], out[half:])
    channels = together[0].shape[1]
    if isinstance(net, ResNet3dSlowFast):
        channels += together[1].shape[1]
    assert net.out_channels == channels


@pytest.mark.parametrize("name", RECOMPUTING)
def test_checkpointing_changes_no_gradient_and_no_statistics(name):
    kept, recomputed = build(name), build(name, **BACKBONES[name].checkpointing)
    x = batch(name)
    stored = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: stored.append(t) or t, lambda t: t):
        expected = step(kept, x)
    num_stored = len(stored)
    stored.clear()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: stored.append(t) or t, lambda t: t):
        got = step(recomputed, x)
    torch.testing.assert_close(got, expected, rtol=0, atol=0)
    assert len(stored) < num_stored


@pytest.mark.parametrize("name", FREEZING)
def test_frozen_stages_keep_weights_and_statistics(name):
    options, modules = BACKBONES[name].frozen
    net = build(name, **options)
    inside = tuple(f"{module}." for module in modules)
    frozen = {n for n, p in net.named_parameters() if not p.requires_grad}
    assert frozen == {n for n, _ in net.named_parameters() if n.startswith(inside)}
    assert frozen
    assert len(frozen) < len(list(net.parameters()))
    before = copy.deepcopy(net.state_dict())
    gradients, _ = step(net, batch(name))
    with torch.no_grad():
        for name_, parameter in net.named_parameters():
            if gradients[name_] is not None:
                parameter -= gradients[name_]
    changed = {n for n, t in net.state_dict().items() if not torch.equal(t, before[n])}
    statistics = {n for n in before if n.endswith("running_mean") and not n.startswith(inside)}
    assert statistics <= changed
    assert not {n for n in changed if n.startswith(inside)}
    assert not any(
        module.training for path in modules for module in net.get_submodule(path).modules()
    )
    assert not any(module.training for module in net.eval().modules())


@pytest.mark.parametrize("name", [n for n in FREEZING if n != "swin3d"])
def test_norm_eval_keeps_all_statistics_and_trains_all_weights(name):
    net = build(name, norm_eval=True)
    before = {name: value.clone() for name, value in net.named_buffers()}
    gradients, statistics = step(net, batch(name))
    assert before
    assert all(torch.equal(value, before[name]) for name, value in statistics.items())
    assert all(gradient is not None for gradient in gradients.values())


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK_TO_EXPORT else pytest.mark.slow)
        for name in BACKBONES
    ],
)
def test_exports(name):
    net, x = build(name).eval(), batch(name)
    exported = torch.export.export(net, (x,)).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(x), net(x))
