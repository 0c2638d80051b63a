"""VideoMAE's transformer gives the published numbers, and timm's with the same weights."""

import gzip
import json
import math
from functools import partial

import pytest
import torch
from torch import nn

from tests.parity import parity
from tests.paths import GOLDEN
from vidrec.models.backbones.vit import VisionTransformer, sines

STEM = "vit-base-p16_videomae-k400-pre_16x4x1_kinetics-400"
FIGURES = GOLDEN / "models" / f"{STEM}.json.gz"
SMALL = {
    "img_size": 12,
    "patch_size": 4,
    "embed_dims": 12,
    "depth": 2,
    "num_heads": 3,
    "num_frames": 4,
}


def small_net(**options):
    torch.manual_seed(0)
    net = VisionTransformer(**SMALL, **options)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    return net


def golden():
    """Figures computed with MMAction2 1.2.0."""
    return json.loads(gzip.decompress(FIGURES.read_bytes()))


def test_first_block_of_the_published_recipe():
    """Patches, positions and a block: 2 s."""
    net = nn.ModuleDict({"backbone": VisionTransformer(depth=1)})
    parity.fill(net, [])
    net.double().eval()
    clip = parity.drawn(golden()["input"]["shape"], seed=0, dtype=torch.float32)[:, 0]
    seen = []
    net["backbone"].blocks[0].register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.no_grad():
        net["backbone"](clip)
    expected = golden()["modules"]["backbone.blocks.0"]
    assert seen[0].norm().item() == pytest.approx(expected["l2"], rel=1e-9)
    ends = torch.cat([seen[0].flatten()[:6], seen[0].flatten()[-6:]])
    assert ends.tolist() == pytest.approx(expected["first"] + expected["last"], rel=1e-9)


def test_names_are_the_published_ones():
    with torch.device("meta"):
        net = VisionTransformer()
    ours = [[f"backbone.{name}", list(value.shape)] for name, value in net.state_dict().items()]
    theirs = [[name, shape] for name, shape, _ in golden()["state_dict"] if "backbone" in name]
    assert sorted(ours) == sorted(theirs)


@pytest.mark.parametrize(
    ("numbers", "published"),
    [
        # Millions of parameters without classifier, of table 1 of VideoMAE V2 and of VideoMAE.
        ({"embed_dims": 384, "num_heads": 6}, 22),
        ({}, 86),
        ({"embed_dims": 1024, "depth": 24, "num_heads": 16}, 304),
        ({"embed_dims": 1280, "depth": 32, "num_heads": 16}, 632),
        (
            {
                "patch_size": 14,
                "embed_dims": 1408,
                "depth": 40,
                "num_heads": 16,
                "mlp_ratio": 48 / 11,
            },
            1012,
        ),
    ],
)
def test_sizes_by_numbers(numbers, published):
    with torch.device("meta"):
        net = VisionTransformer(**numbers)
    millions = sum(parameter.numel() for parameter in net.parameters()) / 1e6
    assert millions == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize("init_values", [0.0, 0.1])
def test_block_is_timms_with_a_key_bias_of_zero(init_values):
    from timm.models.vision_transformer import Block as TimmBlock

    ours = small_net(init_values=init_values).blocks[0]
    norm = partial(nn.LayerNorm, eps=1e-6)
    theirs = TimmBlock(12, 3, qkv_bias=True, init_values=init_values or None, norm_layer=norm)
    names = {"mlp.layers.0.0": "mlp.fc1", "mlp.layers.1": "mlp.fc2"}
    state = {}
    for name, value in ours.state_dict().items():
        for own, timms in names.items():
            name = name.replace(own, timms)
        state[name.replace("gamma_1", "ls1.gamma").replace("gamma_2", "ls2.gamma")] = value
    q_bias, v_bias = state.pop("attn.q_bias"), state.pop("attn.v_bias")
    state["attn.qkv.bias"] = torch.cat([q_bias, torch.zeros(12), v_bias])
    theirs.load_state_dict(state)
    x = torch.randn(2, 7, 12)
    torch.testing.assert_close(ours(x), theirs(x))


def test_positions_are_sines_and_cosines_of_longer_and_longer_waves():
    table = sines(5, 4)[0]
    for position in range(5):
        slow = position / 10000 ** (2 / 4)
        waves = (math.sin(position), math.cos(position), math.sin(slow), math.cos(slow))
        assert table[position].tolist() == pytest.approx(waves, abs=1e-6)
    constant = golden()["constants"]["backbone.pos_embed"]
    full = sines(1568, 768).double()
    assert full.sum().item() == pytest.approx(constant["sum"], rel=1e-9)
    assert full.square().sum().item() == pytest.approx(constant["sumsq"], rel=1e-9)


def test_map_holds_the_tokens_in_their_places():
    net = small_net(return_feat_map=True).eval()
    clip = torch.randn(1, 3, 4, 12, 12)
    features = net(clip)
    assert features.shape == (1, 12, 2, 3, 3)
    # A short cut for tokens alone: what changes a tubelet changes its place most.
    net.blocks = nn.ModuleList()
    other = clip.clone()
    other[:, :, 2:, 4:8, 8:] += 1
    changed = (net(other) - net(clip)).abs().amax(dim=1)[0] > 0
    assert changed.nonzero().tolist() == [[1, 1, 2]]


def test_pooled_features_are_the_normalised_mean_of_tokens():
    net = small_net().eval()
    net.blocks = nn.ModuleList()
    clip = torch.randn(2, 3, 4, 12, 12)
    tokens = net.patch_embed.projection(clip).flatten(2).transpose(1, 2) + net.pos_embed
    torch.testing.assert_close(net(clip), net.fc_norm(tokens.mean(dim=1)))


def test_frames_of_another_size_have_positions_resized_within_frames():
    net = small_net(return_feat_map=True)
    expected = torch.nn.functional.interpolate(
        net.pos_embed[0].reshape(2, 3, 3, 12).permute(0, 3, 1, 2), (2, 5), mode="bicubic"
    )
    resized = net._positions(2, 2, 5)
    torch.testing.assert_close(resized.reshape(2, 2, 5, 12).permute(0, 3, 1, 2), expected)
    assert net(torch.randn(1, 3, 4, 8, 20)).shape == (1, 12, 2, 2, 5)
    assert torch.equal(net._positions(2, 3, 3), net.pos_embed)


def test_bf16_is_near_fp32():
    net, clip = small_net().eval(), torch.randn(2, 3, 4, 12, 12)
    with torch.autocast("cpu", torch.bfloat16):
        half = net(clip)
    torch.testing.assert_close(half.float(), net(clip), rtol=0.1, atol=0.1)


def test_a_clip_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"2 time steps.*has 3; set num_frames"):
        small_net()(torch.randn(1, 3, 6, 12, 12))
