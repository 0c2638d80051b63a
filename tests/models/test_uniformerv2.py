"""UniFormerV2 gives the published numbers; its blocks are CLIP's with relations over time."""

import gzip
import json

import pytest
import torch
from torch import nn

from tests.paths import GOLDEN
from vidrec.models.backbones.uniformerv2 import GlobalBlock, LocalBlock, UniFormerV2

STEM = "uniformerv2-base-p16-res224_clip_8xb32-u8_kinetics400-rgb"
FIGURES = GOLDEN / "models" / f"{STEM}.json.gz"
SMALL = {
    "input_resolution": 8,
    "patch_size": 4,
    "width": 12,
    "layers": 3,
    "heads": 3,
    "return_list": [0, 2],
    "n_head": 2,
    "mlp_dropout": [0.5, 0.5],
}


def small_net(**options):
    torch.manual_seed(0)
    net = UniFormerV2(**(SMALL | options))
    return randomised(net)


def randomised(module):
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module


def quick_gelu(x):
    return x * torch.sigmoid(1.702 * x)


def test_names_are_the_published_ones():
    golden = json.loads(gzip.decompress(FIGURES.read_bytes()))
    with torch.device("meta"):
        net = UniFormerV2(no_lmhra=True)
    ours = [[f"backbone.{name}", list(value.shape)] for name, value in net.state_dict().items()]
    theirs = [[name, shape] for name, shape, _ in golden["state_dict"] if "backbone" in name]
    assert sorted(ours) == sorted(theirs)


def test_local_block_without_relations_is_torchs_encoder_layer_on_single_frames():
    torch.manual_seed(0)
    theirs = nn.TransformerEncoderLayer(
        12, 3, 48, dropout=0.0, activation=quick_gelu, batch_first=True, norm_first=True
    )
    randomised(theirs)
    names = {
        "self_attn": "attn",
        "linear1": "mlp.c_fc",
        "linear2": "mlp.c_proj",
        "norm1": "ln_1",
        "norm2": "ln_2",
    }
    state = {}
    for name, value in theirs.state_dict().items():
        first, rest = name.split(".", 1)
        state[f"{names[first]}.{rest}"] = value
    ours = LocalBlock(12, 3, num_relations=0, dw_reduction=1.5, drop_path=0.0)
    ours.load_state_dict(state)
    x = torch.randn(2, 4, 5, 12)
    expected = torch.stack([theirs(frames) for frames in x])
    torch.testing.assert_close(ours(x), expected)


def test_relations_are_a_sum_over_three_frames_at_each_place():
    """Batch normalisation, two projections and three weights of time, by a loop."""
    torch.manual_seed(0)
    relation = randomised(LocalBlock(12, 3, 1, dw_reduction=1.5, drop_path=0.0)).lmhra1.eval()
    norm, inner, time, outer = relation.pos_embed
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    patches = torch.randn(2, 4, 5, 12)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    normed = (patches - norm.running_mean) * scale + norm.bias
    hidden = normed @ inner.weight.view(8, 12).T + inner.bias
    expected = torch.empty_like(patches)
    for frame in range(4):
        total = time.bias.expand(2, 5, 8).clone()
        for offset in (-1, 0, 1):
            if 0 <= frame + offset < 4:
                total += hidden[:, frame + offset] * time.weight[:, 0, offset + 1, 0, 0]
        expected[:, frame] = total @ outer.weight.view(12, 8).T + outer.bias
    torch.testing.assert_close(relation(patches), expected)


def test_relations_leave_class_tokens_alone_and_come_before_and_after_the_attention():
    torch.manual_seed(0)
    block = randomised(LocalBlock(12, 3, 2, dw_reduction=1.5, drop_path=0.0)).eval()
    x = torch.randn(2, 4, 5, 12)

    def related(x, relation):
        return torch.cat([x[:, :, :1], x[:, :, 1:] + relation(x[:, :, 1:])], dim=2)

    expected = related(x, block.lmhra1)
    expected = expected + block.attn(block.ln_1(expected).flatten(0, 1)).view(x.shape)
    expected = related(expected, block.lmhra2)
    expected = expected + block.mlp(block.ln_2(expected))
    torch.testing.assert_close(block(x), expected)


def test_global_block_is_torchs_attention_of_one_query():
    torch.manual_seed(0)
    block = randomised(GlobalBlock(12, 3, 24, dropout=0.5, drop_path=0.0)).eval()
    attention = nn.MultiheadAttention(12, 3, batch_first=True)
    attention.load_state_dict(block.attn.state_dict())
    query, tokens = torch.randn(2, 1, 12), torch.randn(2, 9, 12)
    seen = block.ln_3(tokens)
    expected = query + attention(block.ln_1(query), seen, seen, need_weights=False)[0]
    hidden = quick_gelu(block.mlp.c_fc(block.ln_2(expected)))
    torch.testing.assert_close(block(query, tokens), expected + block.mlp.c_proj(hidden))


def test_at_first_the_features_are_half_the_mean_of_the_frames_class_tokens():
    """Global blocks, relations and the query start at zero; `balance` weights both equally."""
    torch.manual_seed(0)
    net = UniFormerV2(**SMALL).eval()
    clip = torch.randn(2, 3, 4, 8, 8)
    frames = []
    for frame in clip.unbind(2):
        patches = net.conv1(frame[:, :, None]).flatten(2).transpose(1, 2)
        cls_token = net.class_embedding.expand(2, 1, -1)
        x = net.ln_pre(torch.cat([cls_token, patches], dim=1) + net.positional_embedding)
        for block in net.transformer.resblocks:
            x = x + block.attn(block.ln_1(x))
            x = x + block.mlp(block.ln_2(x))
        frames.append(x[:, 0])
    expected = net.transformer.norm(sum(frames) / 4 / 2)
    torch.testing.assert_close(net(clip), expected)


def test_global_blocks_follow_the_blocks_of_return_list():
    net, seen = small_net().eval(), []
    for index, block in enumerate(net.transformer.resblocks):
        block.register_forward_hook(lambda *_, name=f"local {index}": seen.append(name))
    for index, block in enumerate(net.transformer.dec):
        block.register_forward_hook(lambda *_, name=f"global {index}": seen.append(name))
    net(torch.randn(1, 3, 4, 8, 8))
    assert seen == ["local 0", "global 0", "local 1", "local 2", "global 1"]


def test_positions_are_a_convolution_over_time_and_space():
    """Frames in another order are the same to CLIP alone, not to the convolution before blocks."""
    clip = torch.randn(1, 3, 4, 8, 8)
    net = small_net(no_lmhra=True).eval()
    assert not torch.allclose(net(clip), net(clip.flip(2)), atol=1e-4)
    for position in net.transformer.dpe:
        nn.init.zeros_(position.weight)
    torch.testing.assert_close(net(clip), net(clip.flip(2)))


def test_query_looks_at_class_tokens_and_at_patches_with_positions():
    """Equations 6 to 10, one frame at a time; `balance` weights the query and the frames."""
    net = small_net(no_lmhra=True, layers=1, return_list=[0], mlp_dropout=[0.0]).eval()
    clip, seen = torch.randn(2, 3, 4, 8, 8), []
    block = net.transformer.resblocks[0]
    block.register_forward_hook(lambda _, __, output: seen.append(output))
    features = net(clip)
    patches = seen[0][:, :, 1:].reshape(2, 4, 2, 2, 12).permute(0, 4, 1, 2, 3)
    positions = net.transformer.dpe[0](patches.contiguous())
    tokens = []
    for frame in range(4):
        tokens.append(seen[0][:, frame, 0])
        for place in range(4):
            at = (..., frame, place // 2, place % 2)
            tokens.append(patches[at] + positions[at])
    query = net.transformer.temporal_cls_token.expand(2, 1, 12)
    query = net.transformer.dec[0](query, torch.stack(tokens, dim=1))[:, 0]
    balance = net.transformer.balance.sigmoid()
    expected = query - balance * (query - seen[0][:, :, 0].mean(dim=1))
    torch.testing.assert_close(features, net.transformer.norm(expected))


def test_downsampling_halves_time():
    net = small_net(temporal_downsample=True).eval()
    shapes = []
    net.ln_pre.register_forward_hook(lambda _, __, output: shapes.append(output.shape))
    net(torch.randn(2, 3, 6, 8, 8))
    assert shapes == [(2, 3, 5, 12)]


def test_bf16_is_near_fp32():
    net, clip = small_net().eval(), torch.randn(2, 3, 4, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        half = net(clip)
    torch.testing.assert_close(half.float(), net(clip), rtol=0.1, atol=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mlp_dropout": [0.5]}, "differ in length"),
        ({"return_list": [1, 3]}, "numbers of the 3 blocks, 0 to 2"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        small_net(**options)


def test_frames_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"2 x 2 patches.*3 x 2; set input_resolution"):
        small_net()(torch.randn(1, 3, 4, 12, 8))
