"""MViT gives torchvision's numbers with the same weights, and the published ones."""

import re

import pytest
import torch
from timm.layers import DropPath
from torch import nn

from vidrec.models.backbones.mvit import MViT, coordinate_marks, relative_index
from vidrec.models.heads.mvit import MViTHead

ARCH = {"embed_dims": 8, "num_layers": 5, "num_heads": 1, "downscale_indices": [1, 2, 3]}


def small_net(**options):
    torch.manual_seed(0)
    net = MViT(ARCH, spatial_size=48, temporal_size=6, **options)
    for name, parameter in net.named_parameters():
        if "rel_pos" in name or name == "cls_token":  # so that they show
            nn.init.normal_(parameter)
    return net


def torchvision_net(dim_mul_in_attention, drop_path_rate=0.0):
    """Channels, heads and strides of the five blocks of ARCH, written out."""
    from torchvision.models.video.mvit import MSBlockConfig
    from torchvision.models.video.mvit import MViT as Reference

    if dim_mul_in_attention:
        channels = [(8, 8), (8, 16), (16, 32), (32, 64), (64, 64)]
    else:
        channels = [(8, 16), (16, 32), (32, 64), (64, 64), (64, 64)]
    heads, strides = (1, 2, 4, 8, 8), ((1, 8), (2, 4), (2, 2), (2, 1), (1, 1))
    blocks = [
        MSBlockConfig(num_heads, *widths, [3] * 3, [3] * 3, [1, q, q], [1, kv, kv])
        for num_heads, widths, (q, kv) in zip(heads, channels, strides, strict=True)
    ]
    return Reference(
        (48, 48),
        6,
        blocks,
        residual_pool=True,
        residual_with_cls_embed=False,
        rel_pos_embed=True,
        proj_after_attn=dim_mul_in_attention,
        stochastic_depth_prob=drop_path_rate,
        num_classes=5,
    )


@pytest.mark.parametrize("dim_mul_in_attention", [True, False])
# The size that the tables are made for, and others, odd ones too.
@pytest.mark.parametrize("size", [(6, 48, 48), (4, 32, 32), (9, 76, 60)])
def test_same_weights_in_torchvisions_network_give_the_same_numbers(size, dim_mul_in_attention):
    net = small_net(dim_mul_in_attention=dim_mul_in_attention)
    net = nn.Sequential(net, MViTHead(5, 64)).double().eval()
    reference = torchvision_net(dim_mul_in_attention).double().eval()
    state = {theirs_of(name): value for name, value in net.state_dict().items()}
    state["pos_encoding.class_token"] = state["pos_encoding.class_token"].flatten()
    reference.load_state_dict(state)
    time, height, width = size
    reference.pos_encoding.temporal_size = (time + 1) // 2
    reference.pos_encoding.spatial_size = (height // 4, width // 4)
    clip = torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(net(clip), reference(clip), rtol=1e-11, atol=1e-11)


def test_blocks_are_left_out_as_often_as_torchvisions():
    from torchvision.ops import StochasticDepth

    reference = torchvision_net(True, drop_path_rate=0.4)
    theirs = [module.p for module in reference.modules() if isinstance(module, StochasticDepth)]
    net = small_net(drop_path_rate=0.4)
    ours = [module.drop_prob for module in net.modules() if isinstance(module, DropPath)]
    assert ours == pytest.approx(theirs)


def theirs_of(name):
    name = re.sub(r"^0\.norm\d", "0.norm", name)
    for ours, theirs in (
        ("0.cls_token", "pos_encoding.class_token"),
        ("0.patch_embed.projection", "conv_proj"),
        ("1.fc_cls", "head.1"),
        ("attn.proj.", "attn.project.0."),
        (".proj.", ".project."),
        ("mlp.fc1", "mlp.0"),
        ("mlp.fc2", "mlp.3"),
    ):
        name = name.replace(ours, theirs)
    name = re.sub(r"pool_(.)\.weight", r"pool_\1.pool.weight", name)
    return re.sub(r"norm_(.)\.", r"pool_\1.norm_act.0.", name).removeprefix("0.")


def test_distances_between_coordinates_of_different_strides():
    # Four queries over two keys: a key is two queries wide, the last is the farthest left.
    assert relative_index(4, 2, torch.device("cpu")).tolist() == [[2, 0], [3, 1], [4, 2], [5, 3]]
    assert relative_index(2, 2, torch.device("cpu")).tolist() == [[1, 0], [2, 1]]


def test_marks_name_each_keys_time_row_and_column():
    marks = coordinate_marks((2, 1, 3), torch.device("cpu"))
    assert marks.shape == (7, 8)
    assert not marks[0].any()
    # The fifth position in order: time 1, row 0, column 1.
    assert marks[5].nonzero().flatten().tolist() == [1, 2, 4]


def test_map_and_class_token():
    patches, token = small_net()(torch.randn(2, 3, 6, 48, 48))
    assert patches.shape == (2, 64, 3, 2, 2)
    assert token.shape == (2, 64)


def test_exports_and_trains_after_a_test_in_inference_mode():
    net, clip = small_net(), torch.randn(1, 3, 6, 40, 56)
    with torch.inference_mode():
        expected = net.eval()(clip)[1]
    exported = torch.export.export(net, (clip,)).module()
    torch.testing.assert_close(exported(clip)[1], expected)
    net.train()(clip)[1].sum().backward()


def test_relative_positions_start_as_zeros_on_request():
    zeros = MViT(ARCH, rel_pos_zero_init=True).blocks[0].attn.rel_pos_h
    assert not zeros.any()
    assert MViT(ARCH).blocks[0].attn.rel_pos_h.std().item() == pytest.approx(0.02, rel=0.1)


def test_scaled_head_starts_near_zero():
    torch.manual_seed(0)
    full = MViTHead(5, 32)
    torch.manual_seed(0)
    small = MViTHead(5, 32, init_scale=0.001)
    torch.testing.assert_close(small.fc_cls.weight, full.fc_cls.weight / 1000)
    torch.testing.assert_close(small.fc_cls.bias, full.fc_cls.bias / 1000)


def test_unknown_architecture_is_named():
    with pytest.raises(ValueError, match="arch='huge'"):
        MViT("huge")
