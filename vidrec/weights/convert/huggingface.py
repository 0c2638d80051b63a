"""Transformers as Hugging Face writes them: ViT, VideoMAE and TimeSformer.

Its names are first translated to those of timm and of the authors, which the other converters know.
"""

import re

import torch

from vidrec.weights.convert.images import divided, vit
from vidrec.weights.convert.names import Shapes, State, substituted
from vidrec.weights.convert.video import timesformer, videomae

_SPLIT = re.compile(r"(.*attention)\.query\.(weight|bias)$")


def huggingface(state: State, wanted: Shapes) -> State:
    """To the names of timm, where queries, keys and values are one layer."""
    block = r"blocks.\1."
    layer = r"^encoder\.layer\.(\d+)\."
    return substituted(
        _joined(state),
        (r"^embeddings\.cls_token$", "cls_token"),
        (r"^embeddings\.position_embeddings$", "pos_embed"),
        (r"^embeddings\.time_embeddings$", "time_embed"),
        (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
        (layer + r"layernorm_before\.", block + "norm1."),
        (layer + r"layernorm_after\.", block + "norm2."),
        (layer + r"temporal_layernorm\.", block + "temporal_norm1."),
        (layer + r"attention\.attention\.", block + "attn."),
        (layer + r"attention\.output\.dense\.", block + "attn.proj."),
        (layer + r"temporal_attention\.attention\.", block + "temporal_attn."),
        (layer + r"temporal_attention\.output\.dense\.", block + "temporal_attn.proj."),
        (layer + r"temporal_dense\.", block + "temporal_fc."),
        (layer + r"intermediate\.dense\.", block + "mlp.fc1."),
        (layer + r"output\.dense\.", block + "mlp.fc2."),
        (r"^layernorm\.", "norm."),
        (r"^classifier\.(weight|bias)$", r"head.\1"),
    )


def _joined(state: State) -> State:
    """Queries, keys and values of each layer as one tensor."""
    joined = {}
    used = set()
    for name, query in state.items():
        if m := _SPLIT.match(name):
            others = [f"{m[1]}.{part}.{m[2]}" for part in ("key", "value")]
            if all(other in state for other in others):
                joined[f"{m[1]}.qkv.{m[2]}"] = torch.cat([query, *(state[o] for o in others)])
                used |= {name, *others}
    return {name: tensor for name, tensor in state.items() if name not in used} | joined


def huggingface_vit(state: State, wanted: Shapes) -> State:
    """ViT to TimeSformer without temporal attention."""
    return vit(huggingface(state, wanted), wanted)


def huggingface_vit_divided(state: State, wanted: Shapes) -> State:
    """ViT to TimeSformer with divided attention; see `divided`."""
    return divided(huggingface_vit(state, wanted), wanted)


def huggingface_videomae(state: State, wanted: Shapes) -> State:
    """VideoMAE, pretrained or fine-tuned."""
    return videomae(huggingface(state, wanted), wanted)


def huggingface_timesformer(state: State, wanted: Shapes) -> State:
    """TimeSformer with divided attention."""
    return timesformer(huggingface(state, wanted), wanted)
