"""The rungs of benchmarks/models.py compute the same: only then is their time worth comparing."""

import importlib.util

import pytest
import torch
import torch.nn.functional as F

from tests.paths import ROOT
from vidrec.build import build_net

spec = importlib.util.spec_from_file_location("benchmark_models", ROOT / "benchmarks" / "models.py")
models = importlib.util.module_from_spec(spec)
spec.loader.exec_module(models)

TINY = [
    "model.net.backbone.embed_dims=24",
    "model.net.backbone.depth=2",
    "model.net.backbone.num_heads=2",
    "model.net.backbone.drop_path_rate=0",
    "model.net.cls_head.in_channels=24",
    "model.net.cls_head.dropout_ratio=0",
]


def test_plain_attention_is_torchs():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 7, 4).unbind()
    bias = torch.randn(3, 7, 7)
    for mask, scale in ((None, None), (bias, 0.3)):
        got = models.plain_attention(q, k, v, mask, scale=scale)
        torch.testing.assert_close(got, F.scaled_dot_product_attention(q, k, v, mask, scale=scale))


def test_every_rung_descends_the_same_losses(monkeypatch):
    conf = models.configuration("videomae-b", True, TINY)
    torch.manual_seed(0)
    state = build_net(conf.model).state_dict()
    batch = models.random_batch(conf, 2, torch.device("cpu"))
    calls = []
    plain = models.plain_attention
    monkeypatch.setattr(
        models, "plain_attention", lambda *a, **k: calls.append(1) or plain(*a, **k)
    )
    losses, explicit = {}, {}
    for i, rung in enumerate(rungs := ["plain", "uint8", "attention", "channels_last"]):
        step = models.Step(conf, state, batch, rungs[: i + 1], torch.device("cpu"))
        losses[rung] = [step().item() for _ in range(3)]
        explicit[rung], calls[:] = len(calls), []
        assert losses[rung] == pytest.approx(losses["plain"], rel=1e-4)
    assert losses["plain"][0] != losses["plain"][2]
    assert explicit == {"plain": 6, "uint8": 6, "attention": 0, "channels_last": 0}
