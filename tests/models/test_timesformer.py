"""TimeSformer gives the published numbers; its attention sees what the paper says, and no more."""

import gzip
import json

import pytest
import torch
from torch import nn

from tests.paths import GOLDEN
from vidrec.models.backbones.timesformer import DividedBlock, JointBlock, TimeSformer
from vidrec.models.layers.attention import MultiheadAttention

STEM = "timesformer_divST_8xb8-8x32x1-15e_kinetics400-rgb"
FIGURES = GOLDEN / "models" / f"{STEM}.json.gz"
SMALL = {
    "num_frames": 3,
    "img_size": 8,
    "patch_size": 4,
    "embed_dims": 12,
    "num_heads": 3,
    "num_transformer_layers": 2,
}
TYPES = ("divided_space_time", "joint_space_time", "space_only")


def small_net(attention_type="divided_space_time", **options):
    torch.manual_seed(0)
    net = TimeSformer(**SMALL, attention_type=attention_type, **options)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    return net


def test_names_are_the_published_ones():
    """The full list of names, shapes and their order, MMAction2 1.2.0."""
    golden = json.loads(gzip.decompress(FIGURES.read_bytes()))
    with torch.device("meta"):
        net = TimeSformer()
    ours = [[f"backbone.{name}", list(value.shape)] for name, value in net.state_dict().items()]
    theirs = [[name, shape] for name, shape, _ in golden["state_dict"] if "backbone" in name]
    assert ours == theirs


def torchs(attention):
    """PyTorch's own layer with the weights of ours."""
    layer = nn.MultiheadAttention(12, 3, batch_first=True)
    layer.load_state_dict(attention.state_dict())
    return lambda tokens: layer(tokens, tokens, tokens, need_weights=False)[0]


def test_divided_attention_is_a_loop_over_places_then_over_frames():
    """Equations 8 and 9, one place and one frame at a time."""
    torch.manual_seed(0)
    block = DividedBlock(12, 3, num_frames=3, drop_path=0.0)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    x = torch.randn(2, 1 + 4 * 3, 12)
    cls_token, patches = x[:, 0], x[:, 1:].reshape(2, 4, 3, 12).clone()
    in_time, in_space = block.attentions
    for place in range(4):
        line = patches[:, place]
        patches[:, place] = line + in_time.temporal_fc(torchs(in_time.attn)(in_time.norm(line)))
    answers = []
    before = patches.clone()
    for frame in range(3):
        tokens = torch.cat([cls_token[:, None], before[:, :, frame]], dim=1)
        answer = torchs(in_space.attn)(in_space.norm(tokens))
        answers.append(answer[:, 0])
        patches[:, :, frame] = before[:, :, frame] + answer[:, 1:]
    cls_token = cls_token + sum(answers) / 3
    expected = torch.cat([cls_token[:, None], patches.reshape(2, 12, 12)], dim=1)
    expected = expected + block.ffns[0](expected)
    torch.testing.assert_close(block(x), expected)


def test_joint_block_is_torchs_encoder_layer():
    torch.manual_seed(0)
    theirs = nn.TransformerEncoderLayer(
        12, 3, 48, dropout=0.0, activation="gelu", layer_norm_eps=1e-6, batch_first=True,
        norm_first=True,
    )  # fmt: skip
    ours = JointBlock(12, 3, drop_path=0.0)
    names = {
        "self_attn": "attentions.0.attn",
        "linear1": "ffns.0.layers.0.0",
        "linear2": "ffns.0.layers.1",
        "norm1": "norms.0",
        "norm2": "norms.1",
    }
    state = {}
    for name, value in theirs.state_dict().items():
        first, rest = name.split(".", 1)
        state[f"{names[first]}.{rest}"] = nn.init.normal_(value.clone(), std=0.3)
    ours.load_state_dict(state)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), state.values(), strict=True)))
    x = torch.randn(2, 7, 12)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("attention_type", TYPES)
def test_blocks_receive_patches_with_their_places_and_frames(attention_type):
    """One patch at a time; the class token has a place but no frame."""
    net, seen = small_net(attention_type).eval(), []
    net.transformer_layers["layers"][0].register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    clip = torch.randn(2, 3, 3, 8, 8)
    net(clip)
    tokens = torch.empty(2, 3, 4, 12)
    for frame in range(3):
        patches = net.patch_embed.projection(clip[:, :, frame])
        for place in range(4):
            token = patches[:, :, place // 2, place % 2] + net.pos_embed[0, 1 + place]
            if attention_type != "space_only":
                token = token + net.time_embed[0, frame]
            tokens[:, frame, place] = token
    if attention_type == "space_only":
        expected = tokens.flatten(0, 1)
    else:
        expected = tokens.transpose(1, 2).flatten(1, 2)
    torch.testing.assert_close(seen[0][:, 1:], expected)
    cls_token = net.cls_token[0, 0] + net.pos_embed[0, 0]
    torch.testing.assert_close(seen[0][:, 0], cls_token.expand(len(expected), -1))


@pytest.mark.parametrize("attention_type", TYPES)
def test_only_space_alone_does_not_know_the_order_of_frames(attention_type):
    net = small_net(attention_type).eval()
    clip = torch.randn(2, 3, 3, 8, 8)
    same = torch.allclose(net(clip), net(clip.flip(2)), atol=1e-5)
    assert same == (attention_type == "space_only")


def test_divided_attention_starts_without_time():
    torch.manual_seed(0)
    net = TimeSformer(**SMALL).eval()
    block = net.transformer_layers["layers"][0].attentions[0]
    tokens = torch.randn(2, 13, 12)
    assert isinstance(block.attn, MultiheadAttention)
    torch.testing.assert_close(block(tokens), tokens)


def test_bf16_is_near_fp32():
    net, clip = small_net().eval(), torch.randn(2, 3, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        half = net(clip)
    torch.testing.assert_close(half.float(), net(clip), rtol=0.1, atol=0.1)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"attention_type='time_only'.*divided_space_time"):
        TimeSformer(attention_type="time_only")
    with pytest.raises(ValueError, match=r"\(3, 2, 2\).*\(4, 2, 2\); set num_frames"):
        small_net()(torch.randn(1, 3, 4, 8, 8))
