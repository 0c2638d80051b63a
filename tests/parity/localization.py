"""The part of parity.py for networks of localization: BMN, and the two of BSN."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vidrec.data.segments.boundary_labels import BoundaryLabels, BoundaryMatchingLabels

# Constants that the reference keeps in its files and we compute: 128 MB of sampling weights.
DROPPED = ("sample_mask", "bm_mask")
# The reference sums this loss in float32 whatever the type of the network.
FLOAT32_LOSS = 1e-6


def compare_localizer(net: nn.Module, loss_fn: Any, golden: dict[str, Any]) -> dict[str, float]:
    """Largest relative differences of the outputs and of a training step."""
    kind = golden["model_cfg"]["type"]
    shape, seed = golden["input"]["shape"], golden["input"]["seed"]
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(shape, generator=generator).double()
    net.eval()
    with torch.no_grad():
        out = net({"proposal_feature" if kind == "PEM" else "feature": inputs})
    if kind == "PEM":
        pairs = {"iou": (out["iou"][0], golden["outputs"])}
    elif kind == "TEM":
        full = torch.stack([out[name] for name in ("action", "start", "end")], dim=1)
        pairs = {"outputs": (full, golden["full"][0])}
    else:
        confidence = out["iou_map"][0]
        pairs = {
            "start": (out["start"], golden["start"]),
            "end": (out["end"], golden["end"]),
            "duration_1": (confidence[:, 0], golden["conf_row_d0"]),
            "duration_51": (confidence[:, 50], golden["conf_row_d50"]),
            "start_10": (confidence[:, :, 10], golden["conf_col_t10"]),
            "map_norm": (confidence.norm(), golden["outputs"][0]["l2"]),
        }
    found = {name: _relative(ours, theirs) for name, (ours, theirs) in pairs.items()}
    return found | (compare_step(net, loss_fn, golden) if "train" in golden else {})


def compare_step(net: nn.Module, loss_fn: Any, golden: dict[str, Any]) -> dict[str, float]:
    """Losses and gradient norms; random numbers of the loss are ones, as for the reference."""
    train, config = golden["train"], golden["model_cfg"]
    length = config["temporal_dim"]
    labels: Any = BoundaryMatchingLabels(length)
    if config["type"] == "TEM":
        labels = BoundaryLabels(length, config["boundary_ratio"])
    made = [labels(np.array(segments)) for segments in train["gt"]]
    batch: dict[str, Any] = {
        name: torch.from_numpy(np.stack([one[name] for one in made])) for name in made[0]
    }
    generator = torch.Generator().manual_seed(train["seed"])
    batch["feature"] = torch.randn(train["input_shape"], generator=generator, dtype=torch.float64)
    net.train()
    net.zero_grad()
    with ones_for_random_numbers():
        losses = loss_fn(net(batch), batch)
    losses["loss"].backward()
    errors = [
        abs(losses[name].item() - value) / abs(value) for name, value in train["losses"].items()
    ]
    # Past what float32 explains the whole difference counts.
    explained = FLOAT32_LOSS if config["type"] == "BMN" else 0.0
    gradients = {n: p.grad.norm().item() for n, p in net.named_parameters() if p.grad is not None}
    expected = train["grad_norm"]["per_param"]
    norms = [abs(gradients[name] - norm) / norm for name, norm in expected.items()]
    print(f"loss: relative difference {max(errors):.3g}, {explained:g} of it is float32")
    print(f"gradient norms of {len(norms)} parameters: relative difference {max(norms):.3g}")
    return {
        "loss": max(errors) if max(errors) > explained else 0.0,
        "grad_norm": max(norms) if max(norms) > explained else 0.0,
    }


@contextmanager
def ones_for_random_numbers() -> Iterator[None]:
    drawn = torch.rand_like
    torch.rand_like = torch.ones_like  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.rand_like = drawn


def _relative(ours: Tensor, reference: Any) -> float:
    theirs = torch.tensor(reference, dtype=torch.float64).reshape(ours.shape)
    error = (ours.double() - theirs).abs().max() / theirs.abs().max()
    return error.item() if error.isfinite() else math.inf
