"""Image networks of torchvision, timm and MMPretrain, for 2D and inflated networks."""

import re

import torch

from vidrec.models.backbones.mobilenet_v2 import STAGES
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


def mobilenet_v2(state: State, wanted: Shapes) -> State:
    """MobileNetV2 of torchvision, and of TSM's authors, whose blocks number every layer.

    Both number the blocks through the network; ours are those of seven stages.
    """
    places = [(s, b) for s, (_, _, blocks, _) in enumerate(STAGES, start=1) for b in range(blocks)]
    last = len(places) + 1
    is_flat = named(state, r"\bfeatures\.1\.conv\.4\.")

    def rename(name: str) -> str:
        name = re.sub(r"^classifier\.(?:1\.)?(weight|bias)$", r"cls_head.fc_cls.\1", name)
        if not (m := re.match(r"features\.(\d+)\.(?:conv\.)?(.*)", name)):
            return name
        block, rest = int(m[1]), m[2].replace(".net.", ".")
        if block in (0, last):
            return f"conv{1 if block == 0 else 2}.{_part(rest)}"
        if not 0 < block < last:
            return name
        stage, index = places[block - 1]
        return f"layer{stage}.{index}.conv.{_flat(rest) if is_flat else _nested(rest, block)}"

    return renamed(state, rename)


def _part(name: str) -> str:
    """`0.weight` and `1.weight` of a convolution and its BatchNorm."""
    return re.sub(r"^1\.", "bn.", re.sub(r"^0\.", "conv.", name))


def _flat(name: str) -> str:
    """`3.weight`: convolution, BatchNorm and ReLU6 of each layer have three numbers."""
    if not (m := re.match(r"(\d)\.(\w+)$", name)):
        return name
    layer, part = divmod(int(m[1]), 3)
    return f"{layer}.{_part(f'{part}.{m[2]}')}"


def _nested(name: str, block: int) -> str:
    """`1.0.weight`, but `2.weight` and `3.weight` of the projection, which ends a block."""
    if m := re.match(r"(\d)\.(\w+)$", name):
        projection = 1 if block == 1 else 2  # the first block has no expansion
        return f"{projection}.{_part(f'{int(m[1]) - projection}.{m[2]}')}"
    number, _, rest = name.partition(".")
    return f"{number}.{_part(rest)}"


def timm_mobilenet_v2(state: State, wanted: Shapes) -> State:
    """timm's MobileNetV2 (`mobilenetv2_100`)."""
    layers = {"conv_pw": 0, "bn1": 0, "conv_dw": 1, "bn2": 1, "conv_pwl": 2, "bn3": 2}
    first = {"conv_dw": 0, "bn1": 0, "conv_pw": 1, "bn2": 1}  # without expansion

    def rename(name: str) -> str:
        if m := re.match(r"blocks\.(\d)\.(\d)\.(\w+)\.(\w+)$", name):
            layer = (first if m[1] == "0" else layers).get(m[3])
            part = "conv" if m[3].startswith("conv") else "bn"
            return f"layer{int(m[1]) + 1}.{m[2]}.conv.{layer}.{part}.{m[4]}"
        return name

    return substituted(
        renamed(state, rename),
        (r"^conv_stem\.", "conv1.conv."),
        (r"^bn1\.", "conv1.bn."),
        (r"^conv_head\.", "conv2.conv."),
        (r"^bn2\.", "conv2.bn."),
        (r"^classifier\.(\w+)$", r"cls_head.fc_cls.\1"),
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
