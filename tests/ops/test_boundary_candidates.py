import pytest
import torch

from vidrec.ops.boundary_candidates import bmn_candidates, peaks, tem_candidates
from vidrec.ops.soft_nms import soft_nms


def uniform(*shape, seed):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_candidates_are_all_pairs_of_possible_boundaries():
    start, end = uniform(2, 9, seed=1), uniform(2, 9, seed=2)
    iou_map = uniform(2, 2, 9, 9, seed=3)
    found = bmn_candidates(start, end, iou_map)
    for n in range(2):
        starts, ends = peaks(start)[n].tolist(), peaks(end)[n].tolist()
        starts[0] = ends[-1] = True
        expected = {}
        for first in range(9):
            for last in range(first + 1, 9):
                if starts[first] and ends[last]:
                    confidence = iou_map[n, :, last - first - 1, first].prod()
                    expected[first, last] = float(start[n, first] * end[n, last] * confidence)
        there = found.score[n] >= 0
        pairs = torch.stack([found.start[n], found.end[n]], dim=1)[there].mul(9).round().int()
        got = dict(zip(map(tuple, pairs.tolist()), found.score[n][there].tolist(), strict=True))
        assert got == pytest.approx(expected)


def pairs_of(found, n, scale):
    there = found.score[n] >= 0
    pairs = torch.stack([found.start[n], found.end[n]], dim=1)[there].mul(scale)
    return dict(zip(map(tuple, pairs.tolist()), found.score[n][there].tolist(), strict=True))


def test_padding_changes_nothing_and_holds_nothing():
    """The candidates of 8 places are the same with 24 loud places behind them."""
    start, end = uniform(1, 8, seed=1), uniform(1, 8, seed=2)
    iou_map = uniform(1, 2, 8, 8, seed=3)
    loud = torch.full((1, 24), 0.999)
    padded_map = torch.ones(1, 2, 32, 32)
    padded_map[:, :, :8, :8] = iou_map
    padded = torch.cat([start, loud], 1), torch.cat([end, loud], 1)
    real = torch.tensor([8])
    alone = pairs_of(tem_candidates(start, end), 0, 8)
    assert len(alone) > 3
    assert pairs_of(tem_candidates(*padded, num_real=real), 0, 32) == pytest.approx(alone)
    # For BMN a video ends where the padding begins, a place that it lacks alone.
    padded[1][0, 8] = 0
    found = pairs_of(bmn_candidates(*padded, padded_map, real), 0, 32)
    alone = pairs_of(bmn_candidates(start, end, iou_map), 0, 8)
    assert {pair for pair in found if pair[1] >= 8} == {(first, 8) for first in (0, 2, 3, 5, 7)}
    for results in (found, alone):  # an end at 7 is given alone, but is no peak
        for pair in [pair for pair in results if pair[1] >= 7]:
            del results[pair]
    assert len(alone) > 10
    assert found == pytest.approx(alone)


def test_a_sequence_of_padding_alone_has_no_candidates():
    scores, none = uniform(1, 6, seed=1), torch.tensor([0])
    for found in (
        tem_candidates(scores, scores, num_real=none),
        bmn_candidates(scores, scores, torch.ones(1, 2, 6, 6), none),
    ):
        assert soft_nms(found, 0.4, 0.5, 0.9, 5).counts.tolist() == [0]


def test_peaks():
    scores = torch.tensor([[0.9, 0.1, 0.3, 0.2, 0.6, 0.6, 0.1, 1.0]])
    expected = [False, False, True, False, True, True, False, False]
    assert peaks(scores)[0].tolist() == expected


def test_candidates_of_tem_lie_between_centres():
    found = tem_candidates(
        torch.tensor([[0.0, 0.0, 0.0, 0.5]]), torch.tensor([[1.0, 0.0, 0.0, 1.0]])
    )
    # Only the ends can be boundaries: what lies between is neither a peak nor high.
    assert torch.stack([found.start[0], found.end[0]], 1).tolist() == [[0.125, 0.875]]
