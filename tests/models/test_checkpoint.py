"""Recomputed activations give the same step as stored ones: random numbers, statistics."""

import pytest
import torch
from timm.layers import DropPath
from torch import nn

from vidrec.models.layers.checkpoint import checkpointed


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(0.3)
        self.drop_path = DropPath(0.4)

    def forward(self, x):
        return x + self.drop_path(self.dropout(self.norm(self.conv(x)).relu()))


class Net(nn.Module):
    def __init__(self, keep):
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.keep = keep

    def forward(self, x):
        for block in self.blocks:
            x = block(x) if self.keep else checkpointed(block, x)
        return x


def step(net, function, steps=2):
    """Outputs, gradients and statistics after steps with the same random numbers."""
    x = torch.randn(8, 4, 5, 5, generator=torch.Generator().manual_seed(1), requires_grad=True)
    for _ in range(steps):
        torch.manual_seed(2)
        out = function(x)
        out.square().sum().backward()
    gradients = {name: p.grad for name, p in net.named_parameters()}
    return {"out": out, "x": x.grad, **gradients, **dict(net.named_buffers())}


def test_a_step_equals_that_with_stored_activations():
    kept, again = Net(True), Net(False)
    torch.testing.assert_close(step(again, again), step(kept, kept), rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_step_equals_that_with_stored_activations():
    """Compared with a compiled step that stores them: compilers draw other random numbers."""
    kept, again = Net(True), Net(False)
    expected = step(kept, torch.compile(kept, backend="aot_eager", fullgraph=True))
    got = step(again, torch.compile(again, backend="aot_eager", fullgraph=True))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    assert got["blocks.0.norm.num_batches_tracked"] == 2


def test_inner_activations_are_not_stored():
    sizes = {}
    for keep in (True, False):
        net, saved = Net(keep), []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=saved: s.append(t) or t, id):
            net(torch.randn(8, 4, 5, 5, requires_grad=True))
        sizes[keep] = len([t for t in saved if t.ndim == 4 and len(t) == 8])
    assert sizes[False] <= 2 < sizes[True]
