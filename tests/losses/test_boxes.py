"""tests/golden/detection.json.gz: computed with MMAction2 1.2.0."""

import gzip
import json
import math

import pytest
import torch
from torch import tensor

from tests.paths import GOLDEN
from vidrec.losses.boxes import ActionLoss

FIGURES = GOLDEN / "detection.json.gz"
SETTINGS = {
    "multilabel": {},
    "focal": {"focal_gamma": 1.0, "focal_alpha": 3.0},
    "single": {"multilabel": False},
    "single_nobg": {"multilabel": False, "background_class": False},
}


def case(name):
    with gzip.open(FIGURES, "rt") as file:
        golden = json.load(file)["bbox_head"]["cases"][name]
    scores = torch.randn(5, 8, generator=torch.Generator().manual_seed(20)).double()
    labels = tensor(golden["bbox_targets_labels"])
    annotated = labels.sum(dim=1) > 0  # the reference knows no others
    return {"logits": scores, "labels": labels, "annotated": annotated}, golden["losses"]


@pytest.mark.parametrize("name", SETTINGS)
def test_losses_and_figures_of_the_reference(name):
    outputs, losses = case(name)
    ours = ActionLoss(**SETTINGS[name])(outputs, {})
    for key, value in losses.items():
        assert ours[key].item() == pytest.approx(value, rel=2e-6), key
    assert ours["loss"] == ours["loss_action_cls"]


def test_background_boxes_do_not_count():
    outputs, _ = case("multilabel")
    alone = {name: value[:3] for name, value in outputs.items()}
    for key, value in ActionLoss()(outputs, {}).items():
        assert value.item() == pytest.approx(ActionLoss()(alone, {})[key].item(), abs=1e-12)


def test_a_step_without_any_action_is_zero_and_stays_connected():
    logits = torch.randn(2, 6, requires_grad=True)
    annotated = torch.zeros(2, dtype=torch.bool)
    losses = ActionLoss()(
        {"logits": logits, "labels": torch.zeros(2, 6), "annotated": annotated}, {}
    )
    losses["loss"].backward()
    assert losses["loss"] == 0
    assert logits.grad.abs().max() == 0
    assert all(torch.isfinite(value) for value in losses.values())


def test_a_person_without_an_action_is_an_example_of_none():
    """Three persons, the second does nothing; the last box is background."""
    logits = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.zeros(4, 6).double()
    labels[0, 2] = labels[2, 1] = labels[2, 5] = 1
    outputs = {"logits": logits, "labels": labels, "annotated": torch.arange(4) < 3}
    losses = ActionLoss()(outputs, {})
    each = [[math.log1p(math.exp(z)) for z in row] for row in logits[:3, 1:].tolist()]
    right = logits[0, 2] + logits[2, 1] + logits[2, 5]
    assert losses["loss"].item() == pytest.approx((sum(map(sum, each)) - right.item()) / 15)
    # Recall and precision are those of persons who do something.
    others = {name: value[[0, 2]] for name, value in outputs.items()}
    for name, value in ActionLoss()(others, {}).items():
        if "@" in name:
            assert losses[name] == value, name
    # One action per box: no such example can be given, and none changes the mean.
    single = ActionLoss(multilabel=False)
    assert single(outputs, {})["loss"].item() == pytest.approx(single(others, {})["loss"].item())


def test_focal_loss_is_cross_entropy_at_gamma_zero():
    outputs, _ = case("multilabel")
    plain = ActionLoss()(outputs, {})["loss"]
    assert ActionLoss(focal_alpha=2.0)(outputs, {})["loss"] == pytest.approx(2 * plain.item())
    assert ActionLoss(focal_gamma=2.0)(outputs, {})["loss"] < plain


def test_labels_of_a_box_with_several_actions_are_divided_by_their_number():
    """With a background column; without one they are not divided, as published."""
    logits, labels = torch.tensor([[9.0, 2.0, 1.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0, 1.0]])
    outputs = {"logits": logits.double(), "labels": labels.double()}
    normaliser = math.log(math.exp(2) + math.exp(1) + 1)
    share = ActionLoss(multilabel=False)(outputs, {})["loss"]
    assert share.item() == pytest.approx(normaliser - (2 + 0) / 2)
    outputs = {name: value[:, 1:] for name, value in outputs.items()}
    whole = ActionLoss(multilabel=False, background_class=False)(outputs, {})["loss"]
    assert whole.item() == pytest.approx(2 * normaliser - (2 + 0))


def test_topk_below_one_is_refused():
    with pytest.raises(ValueError, match=r"topk=\[3, 0\]"):
        ActionLoss(topk=(3, 0))


def test_topk_above_the_number_of_classes():
    outputs, _ = case("multilabel")
    losses = ActionLoss(topk=(50,))(outputs, {})
    assert losses["recall@top50"] == 1
