"""Image networks of torchvision, timm and MMPretrain, for 2D and inflated networks."""

import re

import torch

from vidrec.weights.convert.names import Shapes, State, named, renamed, substituted


def resnet_modules(state: State, wanted: Shapes) -> State:
    """ResNets of torchvision, timm and MMPretrain: `conv1.weight`, `bn1.weight`, `downsample.0`."""
    return substituted(
        state,
        (r"\bconv(\d)\.(weight|bias)$", r"conv\1.conv.\2"),
        (r"\bbn(\d)\.(\w+)$", r"conv\1.bn.\2"),
        (r"\bdownsample\.0\.(\w+)$", r"downsample.conv.\1"),
        (r"\bdownsample\.1\.(\w+)$", r"downsample.bn.\1"),
    )


def plain_resnet(state: State, wanted: Shapes) -> State:
    """The reverse: our names and MMAction2's to a torchvision, timm or MMPretrain ResNet."""
    return substituted(
        state,
        (r"\bconv(\d)\.conv\.(\w+)$", r"conv\1.\2"),
        (r"\bconv(\d)\.bn\.(\w+)$", r"bn\1.\2"),
        (r"\bdownsample\.conv\.(\w+)$", r"downsample.0.\1"),
        (r"\bdownsample\.bn\.(\w+)$", r"downsample.1.\1"),
    )


def dense_layers(state: State, wanted: Shapes) -> State:
    """Old DenseNet files of torchvision, with dots in names of modules: `norm.1.weight`."""
    return substituted(state, (r"\b(norm|conv)\.([12])\.(\w+)$", r"\1\2.\3"))


def swin_stages(state: State, wanted: Shapes) -> State:
    """Swin before timm 0.9, where downsampling ended a stage; now it begins the next one."""
    stage = re.compile(r"\blayers\.(\d+)(?=\.downsample\.)")
    return renamed(state, lambda name: stage.sub(lambda m: f"layers.{int(m[1]) + 1}", name))


def swin(state: State, wanted: Shapes) -> State:
    """Swin and Video Swin by their authors: the last norm is that of the last stage."""
    return substituted(
        state, (r"^norm\.(\w+)$", r"norm3.\1"), (r"^head\.(?:fc\.)?(\w+)$", r"cls_head.fc_cls.\1")
    )


def timm_swin(state: State, wanted: Shapes) -> State:
    """Swin since timm 0.9, where downsampling begins a stage; in ours it ends the one before."""
    stage = re.compile(r"\blayers\.(\d+)(?=\.downsample\.)")
    state = renamed(state, lambda name: stage.sub(lambda m: f"layers.{int(m[1]) - 1}", name))
    return swin(state, wanted)


def vit(state: State, wanted: Shapes) -> State:
    """Image transformers of timm and DeiT to TimeSformer without temporal attention."""
    layer = r"transformer_layers.layers.\1."
    return substituted(
        state,
        (r"^patch_embed\.proj\.", "patch_embed.projection."),
        (r"^blocks\.(\d+)\.norm1\.", layer + "norms.0."),
        (r"^blocks\.(\d+)\.norm2\.", layer + "norms.1."),
        (r"^blocks\.(\d+)\.attn\.qkv\.(\w+)$", layer + r"attentions.0.attn.in_proj_\2"),
        (r"^blocks\.(\d+)\.attn\.proj\.", layer + "attentions.0.attn.out_proj."),
        (r"^blocks\.(\d+)\.mlp\.fc1\.", layer + "ffns.0.layers.0.0."),
        (r"^blocks\.(\d+)\.mlp\.fc2\.", layer + "ffns.0.layers.1."),
        (r"^head\.(\w+)$", r"cls_head.fc_cls.\1"),
    )


def vit_divided(state: State, wanted: Shapes) -> State:
    """The same with divided attention: temporal attention starts as a copy of spatial attention."""
    return divided(vit(state, wanted), wanted)


def divided(state: State, wanted: Shapes) -> State:
    """MMAction2's TimeSformer without temporal attention to divided attention.

    `temporal_fc`, at the end of temporal attention, starts at zero, so that the network starts as
    the image network (Bertasius et al., ICML 2021, as published).
    """
    if not named(state, r"\.norms\.0\."):
        return {}
    spatial = substituted(
        state,
        (r"\.norms\.0\.", ".attentions.1.norm."),
        (r"\.norms\.1\.", ".ffns.0.norm."),
        (r"\.attentions\.0\.", ".attentions.1."),
    )
    temporal = {n.replace("attentions.1", "attentions.0"): t for n, t in spatial.items()}
    device = next(iter(state.values())).device
    last = {
        name: torch.zeros(shape, device=device)
        for name, shape in wanted.items()
        if ".temporal_fc." in name
    }
    return dict(spatial) | temporal | last
