"""Transformers in the layout of Hugging Face: the logits that its library gave, the names of timm.

Figures are those of transformers 4.57.3 on weights that follow from their names (`parity.value`).
"""

import gzip
import json

import pytest
import timm
import torch
from safetensors.torch import save_file

from tests.parity.parity import drawn, value
from tests.paths import GOLDEN
from vidrec.models.backbones.image import ImageBackbone
from vidrec.models.backbones.timesformer import TimeSformer
from vidrec.models.backbones.vit import VisionTransformer
from vidrec.models.heads.timesformer import TimeSformerHead
from vidrec.models.recognizer import Recognizer3D
from vidrec.weights.load import load_weights

FIGURES = json.loads(gzip.decompress((GOLDEN / "weights/huggingface.json.gz").read_bytes()))
SIZE = {"img_size": 48, "embed_dims": 96, "num_heads": 4}
NETS = {
    "videomae": lambda: VisionTransformer(num_frames=8, depth=3, mlp_ratio=2, **SIZE),
    "timesformer": lambda: TimeSformer(num_frames=4, num_transformer_layers=3, **SIZE),
}


def wider(state):
    """Hidden layers of twice the size, the added half of which has no effect.

    The figures of TimeSformer have hidden layers of twice the channels, ours four times.
    """
    padded = {}
    for name, tensor in state.items():
        if ".intermediate.dense." in name:
            tensor = torch.cat([tensor, torch.zeros_like(tensor)])
        elif name.endswith(".output.dense.weight") and "attention" not in name:
            tensor = torch.cat([tensor, torch.zeros_like(tensor)], dim=1)
        padded[name] = tensor
    return padded


@pytest.mark.parametrize("kind", NETS)
def test_a_folder_of_hugging_face_gives_its_logits(tmp_path, kind):
    figures = FIGURES[kind]
    state = {name: value(name, shape) for name, shape in figures["state_dict"]}
    save_file(wider(state) if kind == "timesformer" else state, tmp_path / "model.safetensors")
    net = Recognizer3D(NETS[kind](), TimeSformerHead(7, 96), mean=[0.0], std=[1.0])
    report = load_weights(net, tmp_path, min_backbone=1.0)
    assert (report.missing, report.unused) == ([], [])
    net = net.double().eval()
    clips = drawn(figures["input"], 0, torch.float32).transpose(1, 2)
    logits = net.cls_head(net.backbone(clips))
    # Hugging Face's VideoMAE adds 1e-12 in its norms, the authors' and ours 1e-6.
    expected = torch.tensor(figures["logits"], dtype=torch.float64)
    torch.testing.assert_close(logits, expected, rtol=0, atol=2e-5)


def hugging_face_name(name):
    """From timm's name of a tensor in a ViT."""
    for theirs, new in (
        ("blocks.", "encoder.layer."),
        (".norm1.", ".layernorm_before."),
        (".norm2.", ".layernorm_after."),
        (".attn.qkv.", ".attention.attention.qkv."),
        (".attn.proj.", ".attention.output.dense."),
        (".mlp.fc1.", ".intermediate.dense."),
        (".mlp.fc2.", ".output.dense."),
        ("patch_embed.proj.", "embeddings.patch_embeddings.projection."),
        ("pos_embed", "embeddings.position_embeddings"),
        ("cls_token", "embeddings.cls_token"),
    ):
        name = name.replace(theirs, new)
    name = f"layernorm.{name[5:]}" if name.startswith("norm.") else name
    return f"classifier.{name[5:]}" if name.startswith("head.") else f"vit.{name}"


@pytest.mark.parametrize("target", ["timm", "space_only", "divided_space_time"])
def test_vit_becomes_that_of_timm_or_timesformer(tmp_path, target):
    options = {"img_size": 48, "embed_dim": 96, "num_heads": 4, "depth": 2}
    donor = timm.create_model("vit_tiny_patch16_224", num_classes=7, **options)
    state = {}
    for name, tensor in donor.state_dict().items():
        theirs = hugging_face_name(name)
        if ".qkv." in theirs:  # three layers there
            parts = tensor.chunk(3)
            for part, piece in zip(("query", "key", "value"), parts, strict=True):
                state[theirs.replace("qkv", part)] = piece.clone()
        else:
            state[theirs] = tensor
    assert "vit.encoder.layer.1.attention.attention.key.bias" in state
    torch.save(state, tmp_path / "pytorch_model.bin")
    if target == "timm":
        net = ImageBackbone("vit_tiny_patch16_224", options=options)
        load_weights(net, tmp_path, min_backbone=1.0)
        images = torch.randn(2, 3, 48, 48)
        expected = donor.eval().forward_features(images)[:, 1:].transpose(1, 2)
        torch.testing.assert_close(net.eval()(images).flatten(2), expected)
        return
    net = TimeSformer(num_frames=1, num_transformer_layers=2, attention_type=target, **SIZE)
    load_weights(net, tmp_path, min_backbone=0.9)  # the embedding of time is missing
    clips = torch.randn(2, 3, 1, 48, 48)
    # Attention over a single frame is the frame's, of which the last layer is zero.
    features = donor.eval().forward_features(clips[:, :, 0])[:, 0]
    torch.testing.assert_close(net.eval()(clips), features, rtol=1e-4, atol=1e-5)
