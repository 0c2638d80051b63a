import pytest
import torch

from vidrec.ops.boundary_candidates import bmn_candidates, peaks, tem_candidates


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
