"""Soft-NMS against a loop and reference figures.

tests/golden/localization.json.gz was computed with MMAction2 1.2.0.
"""

import math

import numpy as np
import torch

from tests.paths import read_golden
from vidrec.models.localizer import in_seconds
from vidrec.ops.boundary_candidates import bmn_candidates
from vidrec.ops.soft_nms import Candidates, soft_nms

GOLDEN = read_golden("localization.json.gz")


def uniform(*shape, seed):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_post_processing_of_bmn_is_the_published_one():
    start, end = uniform(1, 100, seed=34), uniform(1, 100, seed=35)
    start[0, 40] = 0.99
    candidates = bmn_candidates(start, end, uniform(1, 2, 100, 100, seed=33))
    video = GOLDEN["predict"]["video"]
    interval, frames = video["feature_extraction_interval"], video["duration_frame"]
    span = frames // interval * interval / frames * video["duration_second"]
    window = torch.tensor([[0.0, span]], dtype=torch.float64)
    found = in_seconds(soft_nms(candidates, 0.4, 0.5, 0.9, 100), window)
    expected = np.array(GOLDEN["predict"]["proposals"])
    np.testing.assert_allclose(found["segments"][0], expected[:, :2], atol=1e-9)
    np.testing.assert_allclose(found["scores"][0], expected[:, 2], atol=1e-9)


def test_soft_nms_is_the_published_one():
    rng = np.random.RandomState(0)  # the figures were made with it
    table = np.concatenate([np.sort(rng.rand(300, 2), 1), rng.rand(300, 3)], 1)
    columns = [torch.from_numpy(table[None, :, i].copy()) for i in (0, 1, 4)]
    found = soft_nms(Candidates(*columns), 0.4, 0.5, 0.9, 50)
    expected = np.array(GOLDEN["soft_nms"])
    expected = expected[np.argsort(-expected[:, 2])][:50]
    np.testing.assert_allclose(found.segments[0], expected[:, :2], atol=1e-12)
    np.testing.assert_allclose(found.scores[0], expected[:, 2], atol=1e-12)


def plain_soft_nms(segments, alpha, low, high, top_k):
    """[(start, end, score)] -> the same, taken one by one."""
    left, taken = [list(s) for s in segments], []
    while left and len(taken) < top_k + 1:
        best = max(range(len(left)), key=lambda i: left[i][2])
        a, b, score = left.pop(best)
        taken.append((a, b, score))
        for other in left:
            inner = max(0.0, min(b, other[1]) - max(a, other[0]))
            iou = inner / (b - a + other[1] - other[0] - inner)
            if iou > low + (high - low) * (b - a):
                other[2] *= math.exp(-(iou**2) / alpha)
    return sorted(taken, key=lambda s: -s[2])[:top_k]


def test_many_videos_at_once_are_as_one_after_the_other():
    rng = np.random.default_rng(0)
    counts, width = [1, 7, 40], 40
    videos = [
        [(*sorted(rng.uniform(size=2)), rng.uniform()) for _ in range(count)] for count in counts
    ]
    padded = np.full((3, width, 3), [0.2, 0.9, -1.0])
    for row, video in zip(padded, videos, strict=True):
        row[: len(video)] = video
    found = soft_nms(Candidates(*torch.from_numpy(padded).unbind(-1)), 0.4, 0.3, 0.8, 10)
    assert found.counts.tolist() == [1, 7, 10]
    for i, video in enumerate(videos):
        expected = np.array(plain_soft_nms(video, 0.4, 0.3, 0.8, 10))
        count = len(expected)
        np.testing.assert_allclose(found.segments[i, :count], expected[:, :2])
        np.testing.assert_allclose(found.scores[i, :count], expected[:, 2])
        assert not found.scores[i, count:].any()
