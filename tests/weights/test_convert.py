"""Published files of other projects give the same output once loaded into our networks.

Oracles are the networks of torchvision and timm with random weights and, for origins that are no
library, tables of names written here in the other direction: from ours, as MMAction2's networks
have them, to theirs.
"""

import gzip
import json
import pickle
import re

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn
from torchvision.models.video import mvit as torchvision_mvit
from torchvision.models.video import swin_transformer as torchvision_swin

from tests.paths import GOLDEN
from vidrec.models.backbones.mobilenet_v2 import MobileNetV2
from vidrec.models.backbones.mobileone import MobileOne
from vidrec.models.backbones.mvit import MViT
from vidrec.models.backbones.swin3d import SwinTransformer3D
from vidrec.models.backbones.tsm import MobileNetV2TSM
from vidrec.models.heads.i3d import I3DHead
from vidrec.models.heads.mvit import MViTHead
from vidrec.models.heads.tsm import TSMHead
from vidrec.models.recognizer import Recognizer2D, Recognizer3D
from vidrec.weights.convert import find_conversion, reshape
from vidrec.weights.load import load_weights

# Names and shapes of networks of MMAction2 1.2.0 by algorithm, without counters of BatchNorm.
NAMES = json.loads(gzip.decompress((GOLDEN / "weights/names.json.gz").read_bytes()))

# Interaction-preserved: a 1x1x1 convolution with its norm before that of each channel.
NAMES["ipcsn"] = NAMES["ircsn"] + [
    [name.replace("conv2.0.", "conv2.1."), shape]
    for name, shape in NAMES["ircsn"]
    if "conv2.0." in name
]


def randomized(net, seed=0):
    """Every tensor random, so that no two places can be confused."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                noise = torch.rand(tensor.shape, generator=generator)
                tensor.copy_(noise + 0.5 if name.endswith("running_var") else noise * 0.2 - 0.08)
    return net.eval()


def named(kind, wide=False):
    """A net of tensors with the names of a network, its shapes cut down."""
    net = nn.Module()
    for name, shape in NAMES[kind]:
        *path, last = name.split(".")
        place = net
        for part in path:
            if not hasattr(place, part):
                place.add_module(part, nn.Module())
            place = getattr(place, part)
        value = torch.zeros(shape if wide else [min(n, 3) for n in shape])
        if last.startswith("running_"):
            place.register_buffer(last, value)
        else:
            place.register_parameter(last, nn.Parameter(value))
    return net


def recognizer(backbone, head):
    return Recognizer3D(backbone, head, mean=[0.0], std=[1.0]).eval()


def saved(content, path):
    if path.suffix == ".pkl":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path)
    return path


def translated(name, rules):
    """After every rule in turn: the table of a test."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


# Networks of libraries


def test_torchvision_video_swin_gives_the_same_logits(tmp_path):
    shape = {"embed_dim": 12, "depths": [2, 2, 1, 1], "num_heads": [1, 2, 2, 4]}
    theirs = randomized(
        torchvision_swin.SwinTransformer3d([2, 4, 4], **shape, window_size=[2, 3, 3], num_classes=7)
    )
    arch = {"embed_dims": 12, "depths": [2, 2, 1, 1], "num_heads": [1, 2, 2, 4]}
    ours = recognizer(
        SwinTransformer3D(arch, window_size=(2, 3, 3)), I3DHead(7, theirs.num_features)
    )
    path = saved(theirs.state_dict(), tmp_path / "swin3d.pth")
    report = load_weights(ours, path, min_backbone=1.0)
    assert (report.missing, report.unused) == ([], [])
    clips = torch.randn(2, 3, 8, 96, 96)
    logits = ours.outputs(clips.transpose(1, 2)[:, None])["logits"][:, 0]
    torch.testing.assert_close(logits, theirs(clips), rtol=1e-4, atol=1e-4)


def test_torchvision_mvit_gives_the_same_logits(tmp_path):
    def block(heads, channels, out_channels, query, key):
        kernel, stride = [3, 3, 3], [1, query, query]
        return torchvision_mvit.MSBlockConfig(
            heads, channels, out_channels, kernel, kernel, stride, [1, key, key]
        )

    blocks = [block(1, 8, 8, 1, 8), block(2, 8, 16, 2, 4), block(4, 16, 32, 2, 2)]
    blocks.append(block(8, 32, 64, 2, 1))
    theirs = torchvision_mvit.MViT((64, 64), 4, blocks, True, False, True, True, num_classes=7)
    randomized(theirs)
    arch = {"embed_dims": 8, "num_layers": 4, "num_heads": 1, "downscale_indices": (1, 2, 3)}
    ours = recognizer(MViT(arch, spatial_size=64, temporal_size=4), MViTHead(7, 64))
    path = saved(theirs.state_dict(), tmp_path / "mvit.pth")
    report = load_weights(ours, path, min_backbone=1.0)
    assert (report.missing, report.unused) == ([], [])
    clips = torch.randn(2, 3, 4, 64, 64)
    logits = ours.outputs(clips.transpose(1, 2)[:, None])["logits"][:, 0]
    torch.testing.assert_close(logits, theirs(clips), rtol=1e-4, atol=1e-4)


def test_an_image_swin_sees_a_still_clip_as_its_frame(tmp_path):
    # All frames are alike: attention over time, with the same bias for every distance, is a mean.
    theirs = timm.models.swin_transformer.SwinTransformer(
        img_size=96, window_size=3, embed_dim=12, depths=(2, 2, 1, 1), num_heads=(1, 2, 2, 4)
    )
    randomized(theirs)
    arch = {"embed_dims": 12, "depths": [2, 2, 1, 1], "num_heads": [1, 2, 2, 4]}
    ours = SwinTransformer3D(arch, window_size=(2, 3, 3)).eval()
    report = load_weights(ours, saved(theirs.state_dict(), tmp_path / "swin.pth"))
    assert report.backbone == 1.0
    assert any(
        "relative_position_bias_table (25, 1) -> (75, 1)" in line for line in report.reshaped
    )
    frame = torch.randn(2, 3, 96, 96)
    clip = frame[:, :, None].expand(-1, -1, 4, -1, -1)
    features = ours(clip)
    expected = theirs.forward_features(frame).movedim(-1, 1)
    for frames in features.unbind(2):
        torch.testing.assert_close(frames, expected, rtol=1e-4, atol=1e-4)


def test_windows_of_another_size_keep_biases_that_are_linear_in_the_distance(tmp_path):
    # Interpolation at the same middle: the bias of no distance stays, the slope shrinks.
    arch = {"embed_dims": 6, "depths": [1, 1, 1, 1], "num_heads": [3, 3, 3, 3]}
    small = SwinTransformer3D(arch, window_size=(2, 7, 7))
    large = SwinTransformer3D(arch, window_size=(4, 7, 7))
    name = "layers.0.blocks.0.attn.relative_position_bias_table"
    with torch.no_grad():
        table = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 13, 13, 3)
        small.get_parameter(name).copy_(table.reshape(-1, 3))
    report = load_weights(large, saved(small.state_dict(), tmp_path / "s.pth"), min_backbone=1.0)
    made = large.get_parameter(name).view(7, 13, 13, 3)
    assert (made == made[:, :1, :1, :1]).all()
    along_time = made[:, 0, 0, 0]
    assert (along_time.diff() >= 0).all()
    torch.testing.assert_close(along_time[3], torch.tensor(1.0))
    torch.testing.assert_close(along_time + along_time.flip(0), torch.full((7,), 2.0))
    assert any("relative_position_index" in line for line in report.kept)


def test_relative_positions_of_mvit_are_those_it_would_interpolate_itself(tmp_path):
    arch = {"embed_dims": 8, "num_layers": 2, "num_heads": 1, "downscale_indices": (1,)}
    small = randomized(MViT(arch, spatial_size=32, temporal_size=4))
    large = MViT(arch, spatial_size=64, temporal_size=8).eval()
    report = load_weights(large, saved(small.state_dict(), tmp_path / "m.pth"), min_backbone=1.0)
    assert len(report.reshaped) == 6
    clip = torch.randn(1, 3, 8, 64, 64)
    torch.testing.assert_close(large(clip)[1], small(clip)[1], rtol=1e-4, atol=1e-5)


def test_an_image_transformer_becomes_timesformer(tmp_path):
    from vidrec.models.backbones.timesformer import TimeSformer

    theirs = timm.models.vision_transformer.VisionTransformer(
        img_size=32, patch_size=16, embed_dim=24, depth=2, num_heads=2
    )
    randomized(theirs)
    path = saved(theirs.state_dict(), tmp_path / "vit.pth")
    small = {"img_size": 32, "patch_size": 16, "embed_dims": 24, "num_transformer_layers": 2}
    frame = torch.randn(2, 3, 32, 32)
    clip = frame[:, :, None].expand(-1, -1, 3, -1, -1)
    expected = theirs.forward_features(frame)[:, 0]
    for kind in ("space_only", "divided_space_time"):
        ours = TimeSformer(num_frames=3, num_heads=2, attention_type=kind, **small).eval()
        report = load_weights(ours, path, min_backbone=0.9)
        if kind == "divided_space_time":
            nn.init.zeros_(ours.time_embed)
            assert report.missing == ["time_embed"]
            assert len(report.computed) == 4
        torch.testing.assert_close(ours(clip), expected, rtol=1e-4, atol=1e-4)


def test_positions_of_a_larger_image_are_timms(tmp_path):
    from timm.layers import resample_abs_pos_embed

    given = torch.randn(1, 1 + 7 * 7, 8)
    wanted = {"pos_embed": (1, 1 + 14 * 14, 8)}
    made = reshape({"pos_embed": given}, wanted)["pos_embed"]
    expected = resample_abs_pos_embed(given, [14, 14], num_prefix_tokens=1)
    torch.testing.assert_close(made, expected)
    flat = reshape({"positional_embedding": given[0]}, {"positional_embedding": (197, 8)})
    torch.testing.assert_close(flat["positional_embedding"], expected[0])


def test_times_of_a_longer_clip_are_those_of_the_nearest_frames():
    made = reshape({"time_embed": torch.arange(4.0).view(1, 4, 1)}, {"time_embed": (1, 8, 1)})
    assert made["time_embed"].flatten().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_torchvision_3d_resnet_gives_the_same_map(tmp_path):
    from torchvision.models import video

    from vidrec.models.backbones.resnet3d import ResNet3d

    theirs = randomized(video.r3d_18())
    ours = ResNet3d(
        depth=18, temporal_strides=(1, 2, 2, 2), with_pool1=False, with_pool2=False
    ).eval()
    report = load_weights(ours, saved(theirs.state_dict(), tmp_path / "r3d.pth"), min_backbone=1.0)
    assert report.unused == ["fc.weight", "fc.bias"]
    clip = torch.randn(1, 3, 4, 32, 32)
    expected = theirs.layer4(theirs.layer3(theirs.layer2(theirs.layer1(theirs.stem(clip)))))
    torch.testing.assert_close(ours(clip), expected, rtol=1e-3, atol=1e-3)


def tsm_authors_name(name):
    """From torchvision's name of a layer in MobileNetV2: one number for each of its layers."""
    if not (m := re.match(r"(features\.(\d+)\.conv)\.(\d)(?:\.(\d))?\.(\w+)$", name)):
        return name
    block, number, inner = int(m[2]), int(m[3]), m[4]
    projection = 1 if block == 1 else 2  # follows the triples of convolution, BatchNorm and ReLU6
    flat = 3 * number + int(inner) if inner else 3 * projection + number - projection
    return f"{m[1]}.{flat}.{m[5]}"


@pytest.mark.parametrize("source", ["torchvision", "tsm_authors", "timm"])
def test_every_mobilenet_v2_gives_the_same_features(tmp_path, source):
    if source == "timm":
        theirs = randomized(timm.create_model("mobilenetv2_100", num_classes=5))
        features = theirs.forward_features
    else:
        theirs = randomized(torchvision.models.mobilenet_v2(num_classes=5))
        features = theirs.features
    state = theirs.state_dict()
    if source == "tsm_authors":
        state = {f"module.base_model.{tsm_authors_name(n)}": t for n, t in state.items()}
        assert "module.base_model.features.17.conv.7.running_var" in state
        assert "module.base_model.features.1.conv.3.weight" in state
    path = saved({"state_dict": state}, tmp_path / "m.pth")
    ours = MobileNetV2().eval()
    report = load_weights(ours, path, min_backbone=1.0)
    assert len(report.unused) == 2  # the classifier
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = features(images)
    assert expected.std() > 0
    torch.testing.assert_close(ours(images), expected)
    shifted = Recognizer2D(MobileNetV2TSM(), TSMHead(5, 1280), mean=[0.0], std=[1.0])
    report = load_weights(shifted, path, min_backbone=1.0)
    assert (report.missing, report.unused) == ([], [])
    assert torch.equal(shifted.backbone.layer7[0].conv[2].bn.bias, ours.layer7[0].conv[2].bn.bias)
    assert torch.equal(
        shifted.backbone.layer2[1].conv[0].net.conv.weight, ours.layer2[1].conv[0].conv.weight
    )


@pytest.mark.parametrize("arch", ["s0", "s4"])
def test_mobileone_with_branches_loads_into_its_deployed_form(tmp_path, arch):
    trained = randomized(MobileOne(arch))
    deployed = MobileOne(arch, deploy=True).eval()
    report = load_weights(deployed, saved(trained.state_dict(), tmp_path / "m.pth"))
    assert (report.backbone, report.missing, report.unused) == (1.0, [], [])
    assert "mobileone_folded" in str(report)
    image = torch.randn(1, 3, 32, 32)
    expected = trained(image)
    torch.testing.assert_close(
        deployed(image), expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item()
    )


def test_a_deployed_shifted_mobileone_takes_an_image_network_with_branches(tmp_path):
    from vidrec.models.backbones.tsm import MobileOneTSM

    trained = randomized(MobileOne("s0"))
    state = {f"backbone.{n}": t for n, t in trained.state_dict().items()}
    deployed = MobileOneTSM("s0", deploy=True, num_segments=1).eval()
    path = saved({"state_dict": state | {"head.fc.weight": torch.ones(2, 2)}}, tmp_path / "m.pth")
    report = load_weights(deployed, path, min_backbone=1.0)
    assert report.unused == ["head.fc.weight"]
    same = MobileOne("s0", deploy=True)
    load_weights(same, saved(trained.state_dict(), tmp_path / "plain.pth"))
    ours = deployed.state_dict()
    for name, tensor in same.state_dict().items():
        wrapped = [n for n in ours if n.replace(".net.", ".") == name]
        assert torch.equal(ours[wrapped[0]], tensor), name


# Origins that are no library: names in the other direction

RESIDUAL = [
    (r"layer(\d)\.(\d+)\.", lambda m: f"s{int(m[1]) + 1}.pathway0_res{m[2]}."),
    (r"\.downsample\.conv\.", ".branch1."),
    (r"\.downsample\.bn\.", ".branch1_bn."),
    (r"_res(\d+)\.conv1\.", r"_res\1.branch2.a."),
    (r"_res(\d+)\.conv2\.", r"_res\1.branch2.b."),
    (r"_res(\d+)\.conv3\.", r"_res\1.branch2.c."),
    (r"(branch2\.\w)\.conv\.", r"\1."),
    (r"(branch2\.\w)\.bn\.", r"\1_bn."),
]
PYSLOWFAST = {
    "slowonly": [
        (r"^backbone\.conv1\.", "s1.pathway0_stem."),
        (r"^backbone\.", ""),
        *RESIDUAL,
        (r"^cls_head\.fc_cls\.", "head.projection."),
    ],
    "slowfast": [
        (r"^backbone\.slow_path\.(conv1|layer\d)_lateral\.conv", r"\1_fuse.conv_f2s"),
        (r"^layer(\d)_fuse", lambda m: f"s{int(m[1]) + 1}_fuse"),
        (r"^conv1_fuse", "s1_fuse"),
        (r"^backbone\.slow_path\.conv1\.", "s1.pathway0_stem."),
        (r"^backbone\.fast_path\.conv1\.", "s1.pathway1_stem."),
        (r"^backbone\.slow_path\.", ""),
        (r"^backbone\.(fast)_path\.(.*)", r"\2 \1"),
        *RESIDUAL,
        (r"pathway0(.*) fast", r"pathway1\1"),
        (r"^cls_head\.fc_cls\.", "head.projection."),
    ],
    "x3d": [
        (r"^backbone\.conv1_s\.conv", "s1.pathway0_stem.conv_xy"),
        (r"^backbone\.conv1_t\.", "s1.pathway0_stem."),
        (r"^backbone\.conv5\.conv", "head.conv_5"),
        (r"^backbone\.conv5\.bn", "head.conv_5_bn"),
        (r"^backbone\.", ""),
        *RESIDUAL,
        (r"_res(\d+)\.se_module\.", r"_res\1.branch2.se."),
        (r"^cls_head\.fc1\.", "head.lin_5."),
        (r"^cls_head\.fc2\.", "head.projection."),
    ],
    "i3d_non_local": [
        (r"^backbone\.layer(\d)\.(\d+)\.non_local_block\.", r"NL\1 \2."),
        (r"\.(theta|g|phi|conv_out)(\.0)?\.conv\.", r".conv_\1."),
        (r"conv_conv_out\.", "conv_out."),
        (r"(NL.*)\.conv_out\.bn\.", r"\1.bn."),
        (r"^NL(\d) (\d+)\.", lambda m: f"s{int(m[1]) + 1}.pathway0_nonlocal{m[2]}."),
        (r"^backbone\.conv1\.", "s1.pathway0_stem."),
        (r"^backbone\.", ""),
        *RESIDUAL,
        (r"^cls_head\.fc_cls\.", "head.projection."),
    ],
    "ircsn": [
        (r"\.conv2\.0\.", ".conv2."),
        (r"^backbone\.conv1\.", "s1.pathway0_stem."),
        (r"^backbone\.", ""),
        *RESIDUAL,
        (r"^cls_head\.fc_cls\.", "head.projection."),
    ],
    "mvit": [
        (r"^backbone\.norm3\.", "norm."),
        (r"^backbone\.", ""),
        (r"^patch_embed\.projection", "patch_embed.proj"),
        (r"^cls_head\.fc_cls\.", "head.projection."),
    ],
}
TO_CAFFE2 = [  # of PySlowFast's
    (r"^s1\.pathway0_stem\.bn", "res_conv1_bn"),
    (r"^s1\.pathway1_stem\.bn", "t_res_conv1_bn"),
    (r"^s1\.pathway0_stem\.conv", "conv1"),
    (r"^s1\.pathway1_stem\.conv", "t_conv1"),
    (r"^s1_fuse\.conv_f2s", "t_pool1_subsample"),
    (r"^s(\d)_fuse\.conv_f2s", r"t_res\1_2_branch2c_bn_subsample"),
    (r"^s(\d)\.pathway0_nonlocal(\d+)\.(?:conv_)?(\w+)", r"nonlocal_conv\1_\2_\3"),
    (r"^s(\d)\.pathway0_res(\d+)\.", r"res\1_\2_"),
    (r"^s(\d)\.pathway1_res(\d+)\.", r"t_res\1_\2_"),
    (r"branch2\.", "branch2"),
    (r"^head\.projection", "pred"),
    (r"\.running_mean$", "_rm"),
    (r"\.running_var$", "_riv"),
    (r"\.bias$", "_b"),
    (r"bn\.weight$", "bn_s"),
    (r"\.weight$", "_w"),
]
HUB_BLOCK = [
    (r"\.downsample\.conv\.", ".branch1_conv."),
    (r"\.downsample\.bn\.", ".branch1_norm."),
    (r"\.conv([123])\.conv\.", lambda m: f".branch2.conv_{'abc'[int(m[1]) - 1]}."),
    (r"\.conv([123])\.bn\.", lambda m: f".branch2.norm_{'abc'[int(m[1]) - 1]}."),
]
PYTORCHVIDEO = {
    "slowonly": [
        (r"^backbone\.conv1\.conv", "blocks.0.conv"),
        (r"^backbone\.conv1\.bn", "blocks.0.norm"),
        (r"^backbone\.layer(\d)\.", r"blocks.\1.res_blocks."),
        *HUB_BLOCK,
        (r"^cls_head\.fc_cls", "blocks.5.proj"),
    ],
    "i3d_non_local": [  # as I3D of the hub: a block of pooling after the first layer
        (r"^backbone\.conv1\.conv", "blocks.0.conv"),
        (r"^backbone\.conv1\.bn", "blocks.0.norm"),
        (r"^backbone\.layer1\.", "blocks.1.res_blocks."),
        (r"^backbone\.layer(\d)\.", lambda m: f"blocks.{int(m[1]) + 1}.res_blocks."),
        *HUB_BLOCK,
        (r"^cls_head\.fc_cls", "blocks.6.proj"),
    ],
    "slowfast": [
        (
            r"^backbone\.slow_path\.conv1_lateral\.conv",
            "blocks.0.multipathway_fusion.conv_fast_to_slow",
        ),
        (
            r"^backbone\.slow_path\.layer(\d)_lateral\.conv",
            r"blocks.\1.multipathway_fusion.conv_fast_to_slow",
        ),
        (r"^backbone\.slow_path\.conv1\.conv", "blocks.0.multipathway_blocks.0.conv"),
        (r"^backbone\.slow_path\.conv1\.bn", "blocks.0.multipathway_blocks.0.norm"),
        (r"^backbone\.fast_path\.conv1\.conv", "blocks.0.multipathway_blocks.1.conv"),
        (r"^backbone\.fast_path\.conv1\.bn", "blocks.0.multipathway_blocks.1.norm"),
        (r"^backbone\.slow_path\.layer(\d)\.", r"blocks.\1.multipathway_blocks.0.res_blocks."),
        (r"^backbone\.fast_path\.layer(\d)\.", r"blocks.\1.multipathway_blocks.1.res_blocks."),
        *HUB_BLOCK,
        (r"^cls_head\.fc_cls", "blocks.6.proj"),
    ],
    "x3d": [  # conv_t is the spatial one
        (r"^backbone\.conv1_s\.conv", "blocks.0.conv.conv_t"),
        (r"^backbone\.conv1_t\.conv", "blocks.0.conv.conv_xy"),
        (r"^backbone\.conv1_t\.bn", "blocks.0.norm"),
        (r"^backbone\.conv5\.conv", "blocks.5.pool.pre_conv"),
        (r"^backbone\.conv5\.bn", "blocks.5.pool.pre_norm"),
        (r"^backbone\.layer(\d)\.", r"blocks.\1.res_blocks."),
        *HUB_BLOCK,
        (r"\.norm_b\.", ".norm_b.0."),
        (r"\.se_module\.fc1\.", ".branch2.norm_b.1.block.0."),
        (r"\.se_module\.fc2\.", ".branch2.norm_b.1.block.2."),
        (r"^cls_head\.fc1", "blocks.5.pool.post_conv"),
        (r"^cls_head\.fc2", "blocks.5.proj"),
    ],
    "ircsn": [
        (r"\.conv2\.0\.", ".conv2."),
        (r"^backbone\.conv1\.conv", "blocks.0.conv"),
        (r"^backbone\.conv1\.bn", "blocks.0.norm"),
        (r"^backbone\.layer(\d)\.", r"blocks.\1.res_blocks."),
        *HUB_BLOCK,
        (r"^cls_head\.fc_cls", "blocks.5.proj"),
    ],
}
AUTHORS = {
    "videomae": [
        (r"^backbone\.", ""),
        (r"^patch_embed\.projection", "patch_embed.proj"),
        (r"\.mlp\.layers\.0\.0\.", ".mlp.fc1."),
        (r"\.mlp\.layers\.1\.", ".mlp.fc2."),
        (r"^cls_head\.fc_cls", "head"),
    ],
    "timesformer": [
        (r"^backbone\.", "model."),
        (r"patch_embed\.projection", "patch_embed.proj"),
        (r"transformer_layers\.layers\.", "blocks."),
        (r"\.attentions\.0\.norm\.", ".temporal_norm1."),
        (r"\.attentions\.0\.temporal_fc\.", ".temporal_fc."),
        (r"\.attentions\.0\.attn\.", ".temporal_attn."),
        (r"\.attentions\.1\.norm\.", ".norm1."),
        (r"\.attentions\.1\.attn\.", ".attn."),
        (r"\.ffns\.0\.norm\.", ".norm2."),
        (r"\.ffns\.0\.layers\.0\.0\.", ".mlp.fc1."),
        (r"\.ffns\.0\.layers\.1\.", ".mlp.fc2."),
        (r"attn\.in_proj_", "attn.qkv."),
        (r"attn\.out_proj\.", "attn.proj."),
        (r"^cls_head\.fc_cls", "model.head"),
    ],
    "uniformer": [(r"^backbone\.", ""), (r"^cls_head\.fc_cls", "head")],
    "uniformerv2": [
        (r"^backbone\.transformer\.norm\.", "transformer.proj.0."),
        (r"^cls_head\.fc_cls", "transformer.proj.2"),
        (r"^backbone\.", ""),
    ],
    "ircsn": [  # VMZ's, on torchvision's modules
        (r"^backbone\.conv1\.conv", "stem.0"),
        (r"^backbone\.conv1\.bn", "stem.1"),
        (r"\.conv2\.0\.", ".conv2."),
        (r"\.(conv\d)\.conv\.", r".\1.0."),
        (r"\.(conv\d)\.bn\.", r".\1.1."),
        (r"\.downsample\.conv\.", ".downsample.0."),
        (r"\.downsample\.bn\.", ".downsample.1."),
        (r"^backbone\.", ""),
        (r"^cls_head\.fc_cls", "fc"),
    ],
}
AUTHORS["ipcsn"] = [
    (r"\.conv2\.0\.conv\.", ".conv2.0.0."),
    (r"\.conv2\.0\.bn\.", ".conv2.0.1."),
    (r"\.conv2\.1\.conv\.", ".conv2.0.2."),
    (r"\.conv2\.1\.bn\.", ".conv2.1."),
    *[rule for rule in AUTHORS["ircsn"] if "conv2" not in rule[0]],
]
IMAGES = {  # networks that begin as an image ResNet, of which they keep every tensor somewhere
    kind: [
        (r"\.(net2?|block)(?=\.)", ""),
        (r"\bconv(\d)\.conv\.", r"conv\1."),
        (r"\bconv(\d)\.bn\.", r"bn\1."),
        (r"\.downsample\.conv\.", ".downsample.0."),
        (r"\.downsample\.bn\.", ".downsample.1."),
        (r"^backbone\.", ""),
    ]
    for kind in ("tsm", "tin", "tanet", "tsm_non_local")
}
NOT_OF_IMAGES = r"cls_head|net1|\btam\b|non_local_block"


def files():
    for kind, rules in PYSLOWFAST.items():
        yield "pyslowfast", kind, rules, ".pyth", "model_state"
    for kind in ("slowonly", "slowfast", "i3d_non_local"):
        yield "caffe2", kind, [*PYSLOWFAST[kind], *TO_CAFFE2], ".pkl", "blobs"
    for kind, rules in PYTORCHVIDEO.items():
        yield "pytorchvideo", kind, rules, ".pyth", "model_state"
    for kind, rules in AUTHORS.items():
        yield "authors", kind, rules, ".pth", "module" if kind == "videomae" else "model"
    for kind, rules in IMAGES.items():
        yield "images", kind, rules, ".pth", None


@pytest.mark.parametrize(
    ("origin", "kind", "rules", "suffix", "container"),
    [pytest.param(*case, id=f"{case[0]}-{case[1]}") for case in files()],
)
def test_every_tensor_of_a_file_finds_its_place(tmp_path, origin, kind, rules, suffix, container):
    donor, net = randomized(named(kind)), named(kind)
    left_out = NOT_OF_IMAGES if origin == "images" else r"^$"
    if origin == "pytorchvideo":
        left_out = "non_local_block"  # the hub has no such network
    state = {n: t for n, t in donor.state_dict().items() if not re.search(left_out, n)}
    theirs = {translated(n, rules): t.clone() for n, t in state.items()}
    assert len(theirs) == len(state)
    if origin != "images":
        assert not theirs.keys() & net.state_dict().keys() - {"cls_token"}
    if kind == "x3d" and "head.lin_5.weight" in theirs:  # there a convolution
        theirs["head.lin_5.weight"] = theirs["head.lin_5.weight"][..., None, None, None]
    content = {name: t.numpy() for name, t in theirs.items()} if suffix == ".pkl" else theirs
    extra = {"cfg": "A: 1"} if suffix == ".pyth" else {}
    content = {container: content, **extra} if container else content
    report = load_weights(net, saved(content, tmp_path / f"file{suffix}"), min_backbone=0)
    assert report.unused == []
    loaded = net.state_dict()
    for name in state:
        assert torch.equal(loaded[name], donor.state_dict()[name]), name
    assert report.missing == [name for name in loaded if name not in state]


SLOWFAST_FILES = {
    "pyslowfast": (PYSLOWFAST["slowfast"], "head.projection", ".pyth"),
    "caffe2": ([*PYSLOWFAST["slowfast"], *TO_CAFFE2], "pred", ".pkl"),
    "pytorchvideo": (PYTORCHVIDEO["slowfast"], "blocks.6.proj", ".pyth"),
}


def slowfast_file(origin, path, classifier, weight, bias):
    """The backbone of SlowFast, three channels to a layer, and a classifier by its name."""
    rules, _, suffix = SLOWFAST_FILES[origin]
    donor = randomized(named("slowfast")).state_dict()
    ends = ("_w", "_b") if origin == "caffe2" else (".weight", ".bias")
    state = {translated(n, rules): t for n, t in donor.items() if "cls_head" not in n}
    state |= {classifier + ends[0]: weight, classifier + ends[1]: bias}
    state = {n: t.numpy() for n, t in state.items()} if suffix == ".pkl" else state
    return saved({"blobs" if suffix == ".pkl" else "model_state": state}, path / f"f{suffix}")


def slowfast_net(head, rows, columns):
    net = named("slowfast")
    del net.cls_head
    place = net
    for part in head.split("."):
        place.add_module(part, nn.Module())
        place = getattr(place, part)
    place.fc_cls = nn.Linear(columns, rows)
    return net, place.fc_cls


@pytest.mark.parametrize("origin", SLOWFAST_FILES)
def test_the_80_classes_of_ava_follow_an_unused_one(tmp_path, origin):
    """PySlowFast counts actions from 0, MMAction2 has the background before them."""
    classifier = {"pytorchvideo": "detection_head.proj"}.get(origin, SLOWFAST_FILES[origin][1])
    weight, bias = torch.randn(80, 9), torch.randn(80)
    path = slowfast_file(origin, tmp_path, classifier, weight, bias)
    net, head = slowfast_net("roi_head.bbox_head", 81, 9)
    report = load_weights(net, path, min_backbone=1.0)
    assert (report.missing, report.unused) == ([], [])
    names = ["roi_head.bbox_head.fc_cls.weight", "roi_head.bbox_head.fc_cls.bias"]
    assert report.computed == names
    features = torch.randn(4, 9)
    torch.testing.assert_close(head(features)[:, 1:], features @ weight.T + bias)
    assert head(features)[:, 0].abs().max() == 0
    net, head = slowfast_net("roi_head.bbox_head", 80, 9)
    load_weights(net, path, min_backbone=1.0)
    assert torch.equal(head.weight, weight)
    net, _ = slowfast_net("roi_head.bbox_head", 61, 9)
    assert load_weights(net, path, min_backbone=1.0).missing == names


@pytest.mark.parametrize("origin", SLOWFAST_FILES)
def test_a_classifier_keeps_its_channels_of_slow_and_fast(tmp_path, origin):
    """PySlowFast concatenates slow and fast, MMAction2's head fast and slow."""
    weight, bias = torch.randn(5, 6 + 3), torch.randn(5)
    path = slowfast_file(origin, tmp_path, SLOWFAST_FILES[origin][1], weight, bias)
    net, head = slowfast_net("cls_head", 5, 6 + 3)
    load_weights(net, path, min_backbone=1.0)
    slow, fast = torch.randn(4, 6), torch.randn(4, 3)
    expected = torch.cat([slow, fast], dim=1) @ weight.T + bias
    torch.testing.assert_close(head(torch.cat([fast, slow], dim=1)), expected)


def test_blobs_other_than_weights_are_unused(tmp_path):
    donor, net = randomized(named("slowonly")), named("slowonly")
    rules = [*PYSLOWFAST["slowonly"], *TO_CAFFE2]
    blobs = {translated(n, rules): t.numpy() for n, t in donor.state_dict().items()}
    blobs |= {
        "conv1_w_momentum": blobs["conv1_w"],
        "lr": np.float32([0.1]),
        "model_iter": np.int64([3]),
    }
    report = load_weights(net, saved({"blobs": blobs}, tmp_path / "c.pkl"), min_backbone=1.0)
    assert {"conv1_w_momentum", "lr", "model_iter"} >= set(report.unused)
    assert report.missing == []


def test_norms_of_lateral_connections_are_named_when_the_net_has_none(tmp_path):
    donor, net = randomized(named("slowfast")), named("slowfast")
    theirs = {translated(n, PYSLOWFAST["slowfast"]): t for n, t in donor.state_dict().items()}
    theirs |= {"s1_fuse.bn.weight": torch.ones(16), "s1_fuse.bn.bias": torch.ones(16)}
    path = saved({"model_state": theirs}, tmp_path / "slowfast.pyth")
    assert load_weights(net, path).unused == ["s1_fuse.bn.weight", "s1_fuse.bn.bias"]


def test_clip_of_openai_is_read_into_uniformerv2(tmp_path):
    net = named("uniformerv2")
    own = {
        n: t
        for n, t in randomized(named("uniformerv2")).state_dict().items()
        if not re.search(r"cls_head|dpe|dec\.|transformer\.(norm|balance|temporal_cls_token)", n)
    }
    clip = {n.replace("backbone.", "visual."): t for n, t in own.items()}
    clip["visual.conv1.weight"] = clip["visual.conv1.weight"].squeeze(2)  # of images
    clip |= {"visual.ln_post.weight": torch.ones(3), "visual.proj": torch.ones(3, 3)}
    clip |= {"transformer.resblocks.0.ln_1.weight": torch.ones(3), "logit_scale": torch.tensor(1.0)}
    path = saved(clip, tmp_path / "clip.pt")
    with pytest.raises(ValueError, match=r"min_backbone"):
        load_weights(net, path)
    report = load_weights(net, path, min_backbone=0.65)
    loaded = net.state_dict()
    for name, tensor in own.items():
        assert torch.equal(loaded[name], tensor), name
    assert "transformer.resblocks.0.ln_1.weight" in report.unused  # of CLIP's text


def test_conversion_is_found_on_shapes_alone():
    donor = named("x3d", wide=True).state_dict()
    state = {translated(n, PYTORCHVIDEO["x3d"]): t for n, t in donor.items()}
    conversion = find_conversion(state, {n: tuple(t.shape) for n, t in donor.items()})
    assert str(conversion) == "pytorchvideo +backbone."
