"""Losses of BSN's networks. The sum over a step is compared in tests/parity."""

import math

import pytest
import torch

from vidrec.losses.boundary import binary_logistic_regression
from vidrec.losses.bsn import PEMLoss, TEMLoss


def test_positives_and_negatives_have_the_same_weight():
    predicted = torch.tensor([0.8, 0.3, 0.1, 0.6])
    target = torch.tensor([1.0, 0.2, 0.0, 0.5])  # one positive: 0.5 is not above the threshold
    positive = 0.5 * 4 * math.log(0.8 + 1e-5)
    negative = sum(0.5 * 4 / 3 * math.log(1 - p + 1e-5) for p in (0.3, 0.1, 0.6))
    loss = binary_logistic_regression(predicted, target)
    assert loss.item() == pytest.approx(-(positive + negative) / 4, rel=1e-5)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_one_class_alone_is_finite(value):
    predicted = torch.full((3, 10), 0.5, requires_grad=True)
    loss = binary_logistic_regression(predicted, torch.full((3, 10), value))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(predicted.grad).all()


def test_actions_have_twice_the_weight():
    out = {name: torch.rand(2, 5) for name in ("action", "start", "end")}
    target = {name: torch.rand(2, 5) for name in out}
    losses = TEMLoss()(out, target)
    one = binary_logistic_regression(out["action"], target["action"])
    torch.testing.assert_close(losses["loss_action"], 2 * one)
    total = losses["loss_action"] + losses["loss_start"] + losses["loss_end"]
    torch.testing.assert_close(losses["loss"], total)


def test_iou_loss_ignores_padding():
    out = {"iou": torch.tensor([[0.5, 0.9, 0.3], [0.2, 0.0, 0.0]])}
    batch = {
        "iou": torch.tensor([[0.1, 0.5, 0.0], [0.6, 0.7, 0.7]]),
        "num_proposals": torch.tensor([2, 1]),
    }
    expected = 0.5 * (0.4**2 + 0.4**2 + 0.4**2) / 3
    assert PEMLoss()(out, batch)["loss"].item() == pytest.approx(expected, rel=1e-6)
    none = batch | {"num_proposals": torch.tensor([0, 0])}
    assert PEMLoss()(out, none)["loss"].item() == 0
    assert PEMLoss(balanced=True)(out, none)["loss"].item() == 0


def test_balanced_loss_samples_as_many_middle_as_high_proposals():
    torch.manual_seed(0)
    target = torch.tensor([[0.9] * 50 + [0.4] * 400 + [0.1] * 1000])
    weights = PEMLoss(balanced=True).sampled(target, torch.ones_like(target, dtype=torch.bool))
    parts = [weights[0, :50].sum(), weights[0, 50:450].sum(), weights[0, 450:].sum()]
    assert parts[0] == 50
    assert parts[1] == pytest.approx(50, abs=20)
    assert parts[2] == pytest.approx(100, abs=30)
