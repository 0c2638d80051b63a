"""The steps of temporal localization against plain implementations of them, in one run.

    python benchmarks/localization.py [--batch 2] [--only step memory nms recall features]

- step, memory: a training step of BMN (400 x 100) and its peak memory, against the plain
  formulation with a dense sampling mask and a convolution in three dimensions.
- nms: from the maps of a video to its proposals, against a Python loop over candidates.
- recall: AR@AN of 4,728 videos x 100 proposals, against the procedure of the official script: a
  table per video, and a loop over thresholds, videos and fractions of the proposals.
- features: reading a sequence of 100 x 400 from its binary copy, against csv.

The last line is one JSON object of ratios; the exit status is 1 if one is below its bar.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidrec.data.segments.boundary_labels import BoundaryMatchingLabels
from vidrec.data.segments.features import FeatureFolder
from vidrec.data.segments.records import SegmentRecord, SegmentRecords
from vidrec.engine.setup import channels_last
from vidrec.losses.bmn import BMNLoss
from vidrec.metrics.activitynet_json import SegmentDetections
from vidrec.metrics.average_recall import AverageRecall
from vidrec.metrics.segment_results import THRESHOLDS
from vidrec.models.layers.boundary_matching import sample_weights, valid_cells
from vidrec.models.localizer import BMN
from vidrec.ops.boundary_candidates import bmn_candidates, peaks
from vidrec.ops.soft_nms import soft_nms

BARS = {"step": 4.0, "memory": 4.0, "nms": 15.0, "recall": 20.0, "features": 20.0}


class PlainBMN(BMN):
    """BMN with the boundary-matching layer as it is usually written."""

    mask: Tensor

    def __init__(self, temporal_dim: int, feat_dim: int) -> None:
        super().__init__(temporal_dim, feat_dim)
        cell, sample, position, weight = sample_weights(temporal_dim, 32, 3, 0.5)
        duration, start = valid_cells(temporal_dim)
        mask = torch.zeros(temporal_dim, 32, temporal_dim, temporal_dim)
        mask[position, sample, duration[cell], start[cell]] = torch.from_numpy(weight)
        self.register_buffer("mask", mask.flatten(1), persistent=False)

    def confidence(self, features: Tensor) -> Tensor:
        size = self.temporal_dim
        sampled = (features @ self.mask).unflatten(2, (-1, size, size))
        return self.x_2d_p(self.x_3d_p(sampled).squeeze(2))


def seconds(action: Callable[[], Any], repeats: int) -> float:
    """The time of the fastest call, after a warm-up."""
    action()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        action()
        times.append(time.perf_counter() - begin)
    return min(times)


def training_step(kind: str, batch_size: int) -> tuple[float, float]:
    """Seconds of a step, and the MiB by which it raises the peak memory."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = channels_last((PlainBMN if kind == "plain" else BMN)(100, 400).to(device))
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    labels = BoundaryMatchingLabels(100)(np.array([[0.1, 0.45], [0.5, 0.93]], np.float32))
    batch: dict[str, Any] = {
        name: torch.from_numpy(values).expand(batch_size, *values.shape).to(device)
        for name, values in labels.items()
    }
    batch["feature"] = torch.randn(batch_size, 400, 100, device=device)
    loss_fn = BMNLoss()

    def step() -> None:
        optimizer.zero_grad()
        loss_fn(net(batch), batch)["loss"].backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    before = _peak_mib(device)
    taken = seconds(step, 2)
    return taken, _peak_mib(device) - before


def _peak_mib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare_steps(batch_size: int) -> dict[str, float]:
    """Each in a separate process, to measure its own peak memory."""
    results = {}
    for kind in ("plain", "ours"):
        command = [sys.executable, __file__, "--child", kind, "--batch", str(batch_size)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        results[kind] = json.loads(done.stdout.splitlines()[-1])
        print(f"step, {kind}: {results[kind][0]:.2f} s, {results[kind][1]:.0f} MiB")
    plain, ours = results["plain"], results["ours"]
    return {"step": plain[0] / ours[0], "memory": plain[1] / ours[1]}


def loop_over_candidates(start: np.ndarray, end: np.ndarray, maps: np.ndarray) -> list[Any]:
    """Candidates and soft-NMS of one video in plain Python."""
    size = len(start)
    chosen = [np.flatnonzero(peaks(torch.from_numpy(s)[None])[0].numpy()) for s in (start, end)]
    starts, ends = {0, *chosen[0].tolist()}, {size - 1, *chosen[1].tolist()}
    found = []
    for duration in range(size):
        for first in range(size):
            last = first + duration + 1
            if last < size and first in starts and last in ends:
                score = (
                    start[first] * end[last] * maps[1, duration, first] * maps[0, duration, first]
                )
                found.append([first / size, last / size, float(score)])
    table = np.array(found)
    low, high, score = (list(table[:, i]) for i in range(3))
    taken: list[list[float]] = []
    while score and len(taken) <= 100:
        best = int(np.argmax(score))
        width = high[best] - low[best]
        inner = np.minimum(high[best], high) - np.maximum(low[best], low)
        inner = np.maximum(inner, 0.0)
        iou = inner / (width - inner + np.array(high) - np.array(low))
        weights = np.exp(-np.square(iou) / 0.4)
        for i in range(len(score)):
            if i != best and iou[i] > 0.5 + 0.4 * width:
                score[i] *= weights[i]
        taken.append([low.pop(best), high.pop(best), score.pop(best)])
    return sorted(taken, key=lambda row: -row[2])[:100]


def compare_nms() -> dict[str, float]:
    """Sixteen videos, as in a batch of an evaluation; times are per video."""
    generator = torch.Generator().manual_seed(0)
    start, end = torch.rand(2, 16, 100, generator=generator)
    maps = torch.rand(16, 2, 100, 100, generator=generator)
    plain = seconds(lambda: loop_over_candidates(*(x[0].numpy() for x in (start, end, maps))), 3)
    ours = seconds(lambda: soft_nms(bmn_candidates(start, end, maps), 0.4, 0.5, 0.9, 100), 3) / 16
    found = soft_nms(bmn_candidates(start, end, maps), 0.4, 0.5, 0.9, 100)
    expected = np.array(loop_over_candidates(*(x[0].numpy() for x in (start, end, maps))))
    np.testing.assert_allclose(found.segments[0], expected[:, :2])
    print(f"nms: {1e3 * plain:.1f} ms in a loop, {1e3 * ours:.2f} ms here, per video")
    return {"nms": plain / ours}


def drawn_recall_task(num_videos: int) -> tuple[SegmentRecords, SegmentDetections]:
    rng = np.random.default_rng(0)
    none = np.zeros(1, np.int64)
    records = []
    for i in range(num_videos):
        segments = np.sort(rng.uniform(0, 100, (int(rng.integers(1, 4)), 2)), axis=1)
        times = (100.0, 100.0, 100.0)
        records.append(SegmentRecord(f"v{i}", *times, segments, none.repeat(len(segments))))
    found = np.sort(rng.uniform(0, 100, (num_videos * 100, 2)), axis=1)
    rows = np.arange(num_videos).repeat(100)
    return SegmentRecords.pack(records, ["x"]), SegmentDetections(
        rows, found, rng.uniform(size=len(rows))
    )


def official_recall(records: SegmentRecords, detections: SegmentDetections) -> np.ndarray:
    """Mean recall (100,) as the official script computes it."""
    scores = []
    for row, record in enumerate(records):
        own = detections.rows == row
        order = np.argsort(-detections.scores[own], kind="stable")
        found = detections.segments[own][order].astype(np.float32)
        truth = record.segments.astype(np.float32)
        iou = np.empty((len(truth), len(found)))
        for g, (begin, end) in enumerate(truth):
            inner = (np.minimum(end, found[:, 1]) - np.maximum(begin, found[:, 0])).clip(0)
            union = (found[:, 1] - found[:, 0]) + (end - begin) - inner
            iou[g] = inner.astype(float) / union
        scores.append(iou)
    shares = np.arange(1, 101) / 100.0
    positives = sum(len(score) for score in scores)
    recall = np.empty((len(THRESHOLDS), 100))
    matches = np.empty((len(scores), 100))
    for t, threshold in enumerate(THRESHOLDS):
        for i, score in enumerate(scores):
            hit = score >= threshold
            counts = np.minimum((score.shape[1] * shares).astype(int), score.shape[1])
            for j, count in enumerate(counts):
                matches[i, j] = np.count_nonzero(hit[:, :count].sum(axis=1))
        recall[t] = matches.sum(axis=0) / positives
    return recall.mean(axis=0)


def compare_recall() -> dict[str, float]:
    records, detections = drawn_recall_task(4728)
    metric = AverageRecall(records)
    begin = time.perf_counter()
    expected = official_recall(records, detections)
    plain = time.perf_counter() - begin
    ours = seconds(lambda: metric.score(detections), 3)
    assert abs(metric.score(detections)["AR@100"] - expected[-1]) < 1e-12
    print(f"recall: {plain:.1f} s the official way, {ours:.3f} s here")
    return {"recall": plain / ours}


def compare_features() -> dict[str, float]:
    features = np.random.default_rng(0).normal(size=(100, 400)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a.csv")
        header = ",".join(f"f{i}" for i in range(400))
        np.savetxt(file, features, delimiter=",", header=header, comments="")
        reader = FeatureFolder(folder)
        plain = seconds(lambda: np.loadtxt(file, np.float32, delimiter=",", skiprows=1), 5)
        ours = seconds(lambda: reader.read("a"), 20)
    print(f"features: {1e3 * plain:.2f} ms from csv, {1e3 * ours:.3f} ms from the copy")
    return {"features": plain / ours}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=list(BARS), default=list(BARS))
    parser.add_argument("--child", choices=["plain", "ours"])
    options = parser.parse_args()
    if options.child:
        print(json.dumps(training_step(options.child, options.batch)))
        return 0
    ratios: dict[str, float] = {}
    if {"step", "memory"} & set(options.only):
        ratios |= compare_steps(options.batch)
    parts = {"nms": compare_nms, "recall": compare_recall, "features": compare_features}
    for name, part in parts.items():
        if name in options.only:
            ratios |= part()
    print(
        json.dumps(
            {"threads": torch.get_num_threads()} | {k: round(v, 1) for k, v in ratios.items()}
        )
    )
    return 0 if all(value >= BARS[name] for name, value in ratios.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
