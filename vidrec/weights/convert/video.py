"""Video networks as published by torchvision, VMZ and the authors of video transformers."""

import re

import torch
from torch import Tensor

from vidrec.weights.convert.names import Rule, Shapes, State, named, renamed, substituted

HEAD: Rule = (r"^(?:head|fc)\.(?:\d\.)?(weight|bias)$", r"cls_head.fc_cls.\1")


def torchvision_swin(state: State, wanted: Shapes) -> State:
    """torchvision's swin3d, where stages and patch merging are numbered together."""

    def rename(name: str) -> str:
        name = re.sub(
            r"^features\.(\d+)\.(?=\d)", lambda m: f"layers.{int(m[1]) // 2}.blocks.", name
        )
        return re.sub(r"^features\.(\d+)\.", lambda m: f"layers.{int(m[1]) // 2}.downsample.", name)

    return substituted(
        renamed(state, rename),
        (r"\.mlp\.0\.", ".mlp.fc1."),
        (r"\.mlp\.3\.", ".mlp.fc2."),
        (r"^norm\.", "norm3."),
        HEAD,
    )


def torchvision_mvit(state: State, wanted: Shapes) -> State:
    """torchvision's mvit_v2."""
    return substituted(
        state,
        (r"^conv_proj\.", "patch_embed.projection."),
        (r"^pos_encoding\.class_token$", "cls_token"),
        (r"\.attn\.project\.0\.", ".attn.proj."),
        (r"\.attn\.pool_([qkv])\.pool\.", r".attn.pool_\1."),
        (r"\.attn\.pool_([qkv])\.norm_act\.0\.", r".attn.norm_\1."),
        (r"\.mlp\.0\.", ".mlp.fc1."),
        (r"\.mlp\.3\.", ".mlp.fc2."),
        (r"\.project\.", ".proj."),
        (r"^norm\.", "norm3."),
        HEAD,
    )


def video_resnet(state: State, wanted: Shapes) -> State:
    """3D ResNets of torchvision (r3d, mc3), and VMZ's channel-separated ones, built of its modules.

    Interaction-preserved ones have a 1x1x1 convolution before the depthwise one.
    """
    preserved: tuple[Rule, ...] = ()
    if named(state, r"\bconv2\.0\.2\."):
        preserved = (
            (r"\bconv2\.0\.0\.", "conv2.0.conv."),
            (r"\bconv2\.0\.1\.", "conv2.0.bn."),
            (r"\bconv2\.0\.2\.", "conv2.1.conv."),
            (r"\bconv2\.1\.", "conv2.1.bn."),
        )
    return substituted(
        state,
        *preserved,
        (r"^stem\.0\.", "conv1.conv."),
        (r"^stem\.1\.", "conv1.bn."),
        (r"\bconv(\d)\.0\.(\w+)$", r"conv\1.conv.\2"),
        (r"\bconv(\d)\.1\.(\w+)$", r"conv\1.bn.\2"),
        (r"\bdownsample\.0\.", "downsample.conv."),
        (r"\bdownsample\.1\.", "downsample.bn."),
        HEAD,
    )


def videomae(state: State, wanted: Shapes) -> State:
    """VideoMAE and VideoMAE v2, pretrained or fine-tuned."""
    return substituted(
        state,
        (r"^patch_embed\.proj\.", "patch_embed.projection."),
        (r"\.mlp\.fc1\.", ".mlp.layers.0.0."),
        (r"\.mlp\.fc2\.", ".mlp.layers.1."),
        HEAD,
    )


def timesformer(state: State, wanted: Shapes) -> State:
    """TimeSformer with divided attention: temporal, then spatial, each with its own norm."""
    layer = r"transformer_layers.layers.\1."
    return substituted(
        state,
        (r"^patch_embed\.proj\.", "patch_embed.projection."),
        (r"^blocks\.(\d+)\.temporal_norm1\.", layer + "attentions.0.norm."),
        (r"^blocks\.(\d+)\.temporal_attn\.qkv\.(\w+)$", layer + r"attentions.0.attn.in_proj_\2"),
        (r"^blocks\.(\d+)\.temporal_attn\.proj\.", layer + "attentions.0.attn.out_proj."),
        (r"^blocks\.(\d+)\.temporal_fc\.", layer + "attentions.0.temporal_fc."),
        (r"^blocks\.(\d+)\.norm1\.", layer + "attentions.1.norm."),
        (r"^blocks\.(\d+)\.attn\.qkv\.(\w+)$", layer + r"attentions.1.attn.in_proj_\2"),
        (r"^blocks\.(\d+)\.attn\.proj\.", layer + "attentions.1.attn.out_proj."),
        (r"^blocks\.(\d+)\.norm2\.", layer + "ffns.0.norm."),
        (r"^blocks\.(\d+)\.mlp\.fc1\.", layer + "ffns.0.layers.0.0."),
        (r"^blocks\.(\d+)\.mlp\.fc2\.", layer + "ffns.0.layers.1."),
        HEAD,
    )


def uniformer(state: State, wanted: Shapes) -> State:
    """UniFormer and UniFormerV2, whose backbone has our names but contains the classifier."""
    return substituted(
        state,
        (r"^transformer\.proj\.0\.", "transformer.norm."),
        (r"^transformer\.proj\.2\.", "cls_head.fc_cls."),
        HEAD,
    )


def clip(state: State, wanted: Shapes) -> State:
    """The image network of OpenAI's CLIP; names of the text network get a prefix."""

    def rename(name: str) -> str:
        return name.removeprefix("visual.") if name.startswith("visual.") else f"text.{name}"

    return renamed(state, rename)


def mobileone_folded(state: State, wanted: Shapes) -> State:
    """MobileOne as trained, with branches, to its inference form: one convolution per block.

    Every branch is a linear map (Vasu et al., CVPR 2023, section 3.1): with BatchNorm folded in and
    kernels padded to that of the block, the branches are summed.
    """
    # Blocks with a temporal shift are wrapped; those in files of image networks are not.
    state = {name.replace(".net.", "."): tensor for name, tensor in state.items()}
    folded: dict[str, Tensor] = {}
    for name, shape in wanted.items():
        if not name.endswith("branch_reparam.weight"):
            continue
        target = name.removesuffix("weight")
        branches = target.replace(".net.", ".").removesuffix("reparam.")
        norms = [
            other.removesuffix("weight")
            for other in state
            if other.startswith(branches) and other.endswith("norm.weight")
        ]
        if not norms:
            return {}
        parts = [_folded_branch(state, norm, shape) for norm in norms]
        folded[target + "weight"] = torch.stack([weight for weight, _ in parts]).sum(0)
        folded[target + "bias"] = torch.stack([bias for _, bias in parts]).sum(0)
    if not folded:
        return {}
    return {name: t for name, t in state.items() if "branch_" not in name} | folded


def _folded_branch(state: State, norm: str, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Weight, of the given shape, and bias of the branch whose BatchNorm has the prefix `norm`."""
    scale, shift = state[norm + "weight"], state[norm + "bias"]
    mean, variance = state[norm + "running_mean"], state[norm + "running_var"]
    factor = scale / (variance + 1e-5).sqrt()
    convolution = norm.removesuffix("norm.") + "conv.weight"
    if convolution in state:
        weight = state[convolution]
    else:  # a branch without a convolution is the identity
        out_channels, per_group = shape[:2]
        identity = torch.eye(per_group, device=scale.device, dtype=scale.dtype)
        weight = identity.repeat(out_channels // per_group, 1)[:, :, None, None]
    margin = (shape[-1] - weight.shape[-1]) // 2
    weight = torch.nn.functional.pad(weight, [margin] * 4)
    return weight * factor[:, None, None, None], shift - mean * factor
