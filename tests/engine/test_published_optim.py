"""The learning rate and the weight decay of every parameter of published recipes.

tests/golden/optim.json.gz was computed with MMAction2 1.2.0: for each recipe [rate, decay, names].
"""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.paths import read_golden
from vidrec import build
from vidrec.config.compose import conf_dir
from vidrec.config.schema import ParamRule
from vidrec.engine.optim import layers, parameter_groups
from vidrec.models.backbones.image import ImageBackbone
from vidrec.models.backbones.resnet import ResNet
from vidrec.models.backbones.swin3d import SwinTransformer3D
from vidrec.models.backbones.timesformer import TimeSformer
from vidrec.models.backbones.uniformer import UniFormer
from vidrec.models.backbones.uniformerv2 import UniFormerV2
from vidrec.models.backbones.vit import VisionTransformer

GOLDEN = read_golden("optim.json.gz")
STEMS = [stem for stem in GOLDEN if Path(conf_dir(), "experiment", f"{stem}.yaml").exists()]
VIDEOMAE = "vit-base-p16_videomae-k400-pre_8xb8-16x4x1-20e-adamw_ava-kinetics-rgb"


def published(stem):
    return {name: (lr, decay) for lr, decay, names in GOLDEN[stem] for name in names}


def assert_equal(net, groups, expected):
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    got = {names[id(p)]: (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert set(got) == set(expected)
    wrong = {n: (got[n], expected[n]) for n in got if got[n] != pytest.approx(expected[n])}
    assert not wrong


@pytest.mark.parametrize("stem", STEMS)
def test_every_parameter_of_a_published_recipe(compose, stem):
    conf = compose(f"experiment={stem}")
    with torch.device("meta"):
        net = build.build_net(conf.model)
    schedule = dataclasses.replace(conf.schedule, scale_lr=False)
    groups = build.build_optimizer(net, schedule, world=1).param_groups
    # What is frozen here from the start is in the reference's optimizer and gets no gradient there;
    # the mask of BMN is a constant of ours.
    frozen = {n for n, p in net.named_parameters() if not p.requires_grad} | {"sample_mask"}
    expected = {name: rates for name, rates in published(stem).items() if name not in frozen}
    assert_equal(net, groups, expected)


class Named(nn.Module):
    """Parameters of any names, with modules whose types follow from the names."""

    def __init__(self, names, block_names=VisionTransformer.block_names):
        super().__init__()
        for name in names:
            *path, last = name.split(".")
            module = self
            for i, part in enumerate(path):
                if not hasattr(module, part):
                    norm = i == len(path) - 1 and part.startswith("norm")
                    module.add_module(part, nn.LayerNorm(2) if norm else nn.Module())
                module = getattr(module, part)
            if last not in dict(module.named_parameters(recurse=False)):
                module.register_parameter(last, nn.Parameter(torch.zeros(2)))
        self.backbone.block_names = block_names


NO_DECAY = {
    "norm": ParamRule(kind="norm", weight_decay=0),
    "bias": ParamRule(kind="bias", weight_decay=0),
}


def test_layer_decay_of_videomae():
    expected = published(VIDEOMAE)
    net = Named(expected)
    assert_equal(net, parameter_groups(net, 1.25e-4, 0.05, NO_DECAY, 0.75), expected)


@pytest.mark.parametrize(
    ("backbone", "names", "numbers"),
    [
        (  # stages with a change of resolution between them, which belongs to the earlier one
            SwinTransformer3D,
            [
                "backbone.patch_embed.proj.weight",
                "backbone.layers.0.blocks.0.attn.weight",
                "backbone.layers.0.blocks.1.attn.weight",
                "backbone.layers.0.downsample.weight",
                "backbone.layers.1.blocks.0.attn.weight",
                "backbone.norm3.weight",
                "cls_head.fc_cls.weight",
            ],
            [0, 1, 2, 2, 3, 4, 4],
        ),
        (
            UniFormerV2,
            [
                "backbone.class_embedding",
                "backbone.transformer.resblocks.0.ln_1.weight",
                "backbone.transformer.resblocks.1.ln_1.weight",
                "backbone.transformer.dec.0.ln_1.weight",
                "cls_head.fc_cls.weight",
            ],
            [0, 1, 2, 3, 3],
        ),
        (
            TimeSformer,
            [
                "backbone.cls_token",
                "backbone.transformer_layers.layers.0.ffns.0.layers.0.0.weight",
                "backbone.transformer_layers.layers.1.ffns.0.layers.0.0.weight",
                "backbone.norm.weight",
            ],
            [0, 1, 2, 3],
        ),
        (
            UniFormer,
            ["backbone.patch_embed1.weight", "backbone.blocks1.0.w", "backbone.blocks2.0.w"],
            [0, 1, 2],
        ),
    ],
    ids=["swin", "clip", "timesformer", "uniformer"],
)
def test_layers_count_the_blocks_of_any_transformer(backbone, names, numbers):
    found = layers(Named(names, backbone.block_names))
    assert [found[name] for name in names] == numbers


def test_layer_decay_multiplies_the_rules():
    net = Named(["backbone.blocks.0.w", "backbone.blocks.1.w", "cls_head.w"])
    head = {"head": ParamRule(name="cls_head", lr=10)}
    rates = [group["lr"] for group in parameter_groups(net, 1.0, 0.0, head, 0.5)]
    assert rates == [0.25, 0.5, 10]


def test_layer_decay_of_a_convolutional_network_is_refused():
    with pytest.raises(ValueError, match="numbered blocks"):
        parameter_groups(nn.ModuleDict({"backbone": ResNet(18)}), 1.0, 0.0, {}, 0.5)


def test_layers_of_timms_networks():
    with torch.device("meta"):
        net = nn.ModuleDict({"backbone": ImageBackbone("swin_tiny_patch4_window7_224")})
    found = layers(net)
    assert found["backbone.patch_embed.proj.weight"] == 0
    assert found["backbone.layers.0.blocks.1.norm1.weight"] == 2
    assert found["backbone.layers.1.downsample.norm.weight"] == 2
    assert found["backbone.layers.3.blocks.1.norm1.weight"] == 2 + 2 + 6 + 2
    assert found["backbone.norm.weight"] == 13
