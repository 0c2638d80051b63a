"""Losses against figures computed with MMAction2 1.2.0.

In float64, but for its class weights and smoothed labels, which are float32.
"""

import pytest
import torch
import torch.nn.functional as F

from vidrec.losses.classification import BinaryCrossEntropy, ClassBalancedFocal, CrossEntropy


def draw(function, *shape, seed=0):
    return function(shape, generator=torch.Generator().manual_seed(seed)).double()


LABEL = torch.tensor([5, 9, 4, 8, 3, 3])
SOFT = (2 * draw(torch.randn, 6, 10, seed=2)).softmax(dim=1)
MULTI = (draw(torch.rand, 6, 10, seed=4) < 0.3).double()
WEIGHT = (draw(torch.rand, 10, seed=3) + 0.5).tolist()
SAMPLES = [1, 20, 300, 5, 8, 100, 40, 2, 60, 7]


@pytest.mark.parametrize(
    ("loss_fn", "label", "value", "grad_norm"),
    [
        (CrossEntropy(), LABEL, 2.2304852143295615, 0.3904938186949169),
        (
            CrossEntropy(class_weight=WEIGHT, loss_weight=0.7),
            LABEL,
            1.507431540602367,
            0.28930500944697807,
        ),
        (CrossEntropy(), SOFT, 3.011451623990815, 0.30576610002438603),
        (CrossEntropy(class_weight=WEIGHT), SOFT, 3.1315015011821328, 0.35015434322544714),
        (CrossEntropy(label_smoothing=0.1), LABEL, 2.270741042980311, 0.35312028805061885),
        (BinaryCrossEntropy(loss_weight=333.0), MULTI, 252.19685575287207, 22.555146412123428),
        (BinaryCrossEntropy(class_weight=WEIGHT), MULTI, 0.6566979531965167, 0.0624183631543892),
        (BinaryCrossEntropy(label_smoothing=0.1), MULTI, 0.7626732410322589, 0.06453381813389654),
        (ClassBalancedFocal(SAMPLES), LABEL, 2.02758000415003, 0.4559055803440374),
    ],
)
def test_values_and_gradients_of_the_reference(loss_fn, label, value, grad_norm):
    logits = draw(torch.randn, 6, 10).requires_grad_()
    loss = loss_fn({"logits": logits[:, None]}, {"label": label})["loss"]
    loss.backward()
    assert loss.item() == pytest.approx(value, rel=1e-7)
    assert logits.grad.norm().item() == pytest.approx(grad_norm, rel=1e-7)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_label_smoothing_is_torchs(smoothing):
    logits = draw(torch.randn, 6, 10)
    ours = CrossEntropy(label_smoothing=smoothing)({"logits": logits[:, None]}, {"label": LABEL})
    expected = F.cross_entropy(logits, LABEL, label_smoothing=smoothing)
    torch.testing.assert_close(ours["loss"], expected)


@pytest.mark.parametrize("label", [LABEL, SOFT])
def test_views_are_samples_with_the_label_of_their_video(label):
    views = draw(torch.randn, 6, 3, 10)
    loss = CrossEntropy()({"logits": views}, {"label": label})["loss"]
    apart = [CrossEntropy()({"logits": views[:, [v]]}, {"label": label})["loss"] for v in range(3)]
    torch.testing.assert_close(loss, torch.stack(apart).mean())


def test_top1_is_the_fraction_of_correct_predictions():
    logits = torch.eye(4)[[0, 1, 2, 2]][:, None].requires_grad_()
    losses = CrossEntropy()({"logits": logits}, {"label": torch.arange(4)})
    assert losses["top1"] == 0.75
    assert not losses["top1"].requires_grad


def test_half_precision_logits_give_a_float32_loss():
    logits = draw(torch.randn, 6, 10).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = CrossEntropy(0.1)({"logits": logits[:, None]}, {"label": LABEL})["loss"]
    expected = F.cross_entropy(logits.float(), LABEL, label_smoothing=0.1)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)


def test_focal_loss_does_not_overflow():
    logits = torch.tensor([[[300.0, -300.0]], [[-300.0, 300.0]]], requires_grad=True)
    loss = ClassBalancedFocal([10, 10])({"logits": logits}, {"label": torch.tensor([0, 0])})["loss"]
    loss.backward()
    assert loss.item() == pytest.approx(300.0)
    assert logits.grad.isfinite().all()


def test_wrong_labels_and_options_are_named():
    logits = torch.zeros(6, 1, 10)
    with pytest.raises(ValueError, match="multi_label"):
        BinaryCrossEntropy()({"logits": logits}, {"label": LABEL})
    with pytest.raises(ValueError, match="2 class weights for 10 classes"):
        CrossEntropy(class_weight=[1.0, 2.0])({"logits": logits}, {"label": LABEL})
    with pytest.raises(ValueError, match=r"label_smoothing=1\.5"):
        CrossEntropy(label_smoothing=1.5)
    with pytest.raises(ValueError, match="at class 1"):
        ClassBalancedFocal([3, 0])
