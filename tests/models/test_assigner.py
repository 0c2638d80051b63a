"""tests/golden/detection.json.gz: computed with MMAction2 1.2.0."""

import gzip
import json

import pytest
import torch
from torch import tensor

from tests.paths import GOLDEN
from vidrec.models.assigner import MaxIoUAssigner, RandomSampler

FIGURES = GOLDEN / "detection.json.gz"


@pytest.fixture(scope="module")
def golden():
    with gzip.open(FIGURES, "rt") as file:
        return json.load(file)["assigner"]


@pytest.mark.parametrize("case", ["ava", "loose"])
def test_assignments_equal_those_of_the_reference(golden, case):
    boxes, truth = tensor(golden["priors"]), tensor(golden["gt"])
    samples, true_samples = torch.zeros(len(boxes)).long(), torch.zeros(len(truth)).long()
    given = MaxIoUAssigner(**golden["cases"][case]["kw"])(boxes, samples, truth, true_samples)
    # In the reference 0 is background, -1 is ignored, and ground-truth boxes count from 1.
    theirs = tensor(golden["cases"][case]["gt_inds"])
    assert given.tolist() == torch.where(theirs > 0, theirs - 1, -1 - (theirs < 0).long()).tolist()


def test_boxes_are_only_matched_within_their_clip(golden):
    """Two clips in a batch are assigned like each alone."""
    boxes, truth = tensor(golden["priors"]), tensor(golden["gt"])
    assigner = MaxIoUAssigner(0.5, 0.4, 0.3)
    zero = torch.zeros
    first = assigner(boxes, zero(len(boxes)).long(), truth[:2], zero(2).long())
    second = assigner(boxes, zero(len(boxes)).long(), truth[2:], zero(2).long())
    both = assigner(
        torch.cat([boxes, boxes]),
        torch.arange(2).repeat_interleave(len(boxes)),
        truth,
        tensor([0, 0, 1, 1]),
    )
    assert both.tolist() == first.tolist() + torch.where(second >= 0, second + 2, second).tolist()


def test_low_quality_matches_of_a_ground_truth_box():
    truth = tensor([[0.0, 0.0, 10.0, 10.0]])
    boxes = tensor([[0.0, 0.0, 10.0, 5.0], [0.0, 5.0, 10.0, 10.0], [0.0, 0.0, 5.0, 5.0]])
    samples, one = torch.zeros(3).long(), torch.zeros(1).long()
    assert MaxIoUAssigner(0.9, 0.9, 0.3)(boxes, samples, truth, one).tolist() == [0, 0, -1]
    single = MaxIoUAssigner(0.9, 0.9, 0.3, gt_max_assign_all=False)
    assert single(boxes, samples, truth, one).tolist() == [0, -1, -1]
    none = MaxIoUAssigner(0.9, 0.9, 0.3, match_low_quality=False)
    assert none(boxes, samples, truth, one).tolist() == [-1, -1, -1]
    assert MaxIoUAssigner(0.9, 0.9, 0.6)(boxes, samples, truth, one).tolist() == [-1, -1, -1]


def test_without_ground_truth_everything_is_background():
    boxes, samples = tensor([[0.0, 0.0, 1.0, 1.0]]), torch.zeros(1).long()
    empty = torch.zeros(0, 4), torch.zeros(0).long()
    assert MaxIoUAssigner(0.9, 0.9)(boxes, samples, *empty).tolist() == [-1]
    assert MaxIoUAssigner(0.9, 0.9)(empty[0], empty[1], boxes, samples).tolist() == []


def test_a_sampler_keeps_all_boxes_if_there_are_few_positives_first():
    given = tensor([-1, 0, -2, 1, -1, 2])
    samples = tensor([0, 0, 0, 1, 1, 1])
    rows = RandomSampler(32, 1.0)(given, samples, 2)
    assert rows.tolist() == [1, 0, 3, 5, 4]


def test_a_sampler_draws_at_most_num_boxes_per_clip():
    given = torch.cat([torch.arange(20), torch.full((30,), -1)]).repeat(3)
    samples = torch.arange(3).repeat_interleave(50)
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        rows = RandomSampler(16, 0.5)(given, samples, 3)
        for clip in range(3):
            own = given[rows[samples[rows] == clip]]
            assert (own >= 0).sum() == 8
            assert (own == -1).sum() == 8
        seen |= set(rows.tolist())
    assert len(seen) == 150  # every box is drawn some time


def test_background_boxes_can_be_limited_by_the_positives():
    given = torch.cat([torch.arange(3), torch.full((30,), -1)])
    rows = RandomSampler(32, 1.0, neg_pos_ub=2)(given, torch.zeros(33).long(), 1)
    assert (given[rows] == -1).sum() == 6
    alone = RandomSampler(32, 1.0, neg_pos_ub=2)(given[3:], torch.zeros(30).long(), 1)
    assert len(alone) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaxIoUAssigner(0.4, 0.5), r"neg_iou_thr=0.5 and pos_iou_thr=0.4"),
        (lambda: RandomSampler(0, 1.0), r"num=0"),
        (lambda: RandomSampler(8, 1.5), r"pos_fraction=1.5"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
