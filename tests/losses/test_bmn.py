"""Losses of BMN against reference figures, and where nothing is positive.

tests/golden/localization.json.gz was computed with MMAction2 1.2.0.
"""

import numpy as np
import pytest
import torch

from tests.paths import read_golden
from vidrec.data.segments.boundary_labels import BoundaryMatchingLabels
from vidrec.losses.bmn import BMNLoss, regression_loss, valid_map

GOLDEN = read_golden("localization.json.gz")


def uniform(*shape, seed):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)).double()


def labels(segments):
    made = [BoundaryMatchingLabels(100)(np.array(s, np.float32).reshape(-1, 2)) for s in segments]
    return {name: torch.from_numpy(np.stack([m[name] for m in made])) for name in made[0]}


def outputs():
    made = {
        "iou_map": uniform(2, 2, 100, 100, seed=30),
        "start": uniform(2, 100, seed=31),
        "end": uniform(2, 100, seed=32),
    }
    return {name: value.requires_grad_() for name, value in made.items()}


@pytest.mark.parametrize("drawn", [1.0, 0.5, 0.25])
def test_losses_are_the_published_ones(monkeypatch, drawn):
    expected = GOLDEN["bmn_loss"][f"rand={drawn}"]
    monkeypatch.setattr(torch, "rand_like", lambda like: torch.full_like(like, drawn))
    out = outputs()
    losses = BMNLoss()(out, labels(GOLDEN["bmn_labels"]["gts"][:2]))
    assert losses["loss_tem"].item() == pytest.approx(expected["tem"], rel=1e-9)
    assert losses["loss_pem_cls"].item() == pytest.approx(expected["pem_cls"], rel=1e-9)
    # The reference sums this one in float32.
    assert losses["loss_pem_reg"].item() == pytest.approx(expected["pem_reg"], rel=1e-6)
    assert losses["loss"].item() == pytest.approx(expected["total"], rel=1e-6)
    losses["loss"].backward()
    assert out["iou_map"].grad.norm().item() == pytest.approx(expected["grad"]["norm"], rel=1e-8)


@pytest.mark.parametrize("segments", [[], [[0.301, 0.302]]])
def test_a_batch_without_positives_has_a_finite_loss(segments):
    out = outputs()
    losses = BMNLoss()(out, labels([segments, segments]))
    losses["loss"].backward()
    assert all(torch.isfinite(value) for value in losses.values())
    assert all(torch.isfinite(value.grad).all() for value in out.values())


def test_valid_cells_end_within_the_sequence():
    valid = valid_map(torch.zeros(1, 5, 5))
    expected = [[float(t + d < 5) for t in range(5)] for d in range(5)]
    assert valid.tolist() == expected


def test_more_high_cells_than_others_draw_no_cells_of_other_groups():
    target = torch.tensor([[[0.9, 0.9, 0.9], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    predicted = torch.zeros_like(target)
    loss = regression_loss(predicted, target, torch.ones(3, 3))
    assert loss.item() == pytest.approx(0.5 * (3 * 0.81 + 0.25) / 4)
