"""AVA mAP against the usual procedure, in one run on one core.

    python benchmarks/ava_metric.py [--detections 200000] [--repeats 5]

Both read AVA's csv files of the ground truth and of the detections, and compute the average
precision of each of 60 classes. The usual procedure is that of the challenge's script: it reads
line by line into a dictionary of key frames; for each key frame and each of the 60 classes it sorts
the detections, compares them with the ground-truth boxes and matches them one by one; then it
computes the curve of each class. The results are the same.

The last line is one JSON object of ratios; the exit status is 1 if one is below its bar.
"""

import argparse
import csv
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

# One core: before numpy starts its threads.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

from vidrec.data.boxes.annotations import read_ava
from vidrec.data.boxes.records import BoxRecords
from vidrec.metrics.ava_csv import read_detections
from vidrec.metrics.ava_map import AVAMeanAP

BARS = {"whole": 15.0, "scoring": 15.0}
NUM_CLASSES = 60
LIKELY = 10  # actions per person


def write_task(folder: Path, num_detections: int) -> None:
    """Ground truth, and detections like those of a detector: one to three persons per key frame,
    each with ten actions that score above the threshold of 0.002."""
    rng = np.random.default_rng(0)
    truth: list[str] = []
    found: list[str] = []
    frame = 0
    while len(found) < num_detections:
        name = f"v{frame // 300:010d},{902 + frame % 300:04d}"
        frame += 1
        for person in range(int(rng.integers(1, 4))):
            corner = rng.uniform(0, 0.6, 2)
            box = np.concatenate([corner, corner + rng.uniform(0.1, 0.4, 2)])
            actions = rng.permutation(NUM_CLASSES)[:LIKELY] + 1
            own = actions[: int(rng.integers(1, 4))].tolist()
            text = ",".join(f"{value:.3f}" for value in box)
            truth += [f"{name},{text},{action},{person}\n" for action in own]
            edges = box[[2, 3, 2, 3]] - box[[0, 1, 0, 1]]
            near = (box + rng.uniform(-0.2, 0.2, 4) * edges).clip(0, 1)
            scores = rng.uniform(0.002, 1, LIKELY) ** 3
            scores[: len(own)] **= 0.3
            text = ",".join(f"{value:.4f}" for value in near)
            found += [
                f"{name},{text},{action},{score:.6f}\n"
                for action, score in zip(actions, scores, strict=True)
            ]
    items = [f'item {{\n  name: "class {i}"\n  id: {i}\n}}\n' for i in range(1, NUM_CLASSES + 1)]
    (folder / "actions.pbtxt").write_text("".join(items))
    (folder / "truth.csv").write_text("".join(truth))
    (folder / "found.csv").write_text("".join(found))


def read_truth(folder: Path) -> BoxRecords:
    return read_ava(str(folder / "truth.csv"), str(folder / "actions.pbtxt"))


Frames = dict[str, list[tuple[float, int, list[float]]]]


def loop_read(path: Path) -> Frames:
    """Key frame -> (score, action, box) of each of its lines, best first."""
    frames: Frames = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.reader(file):
            score = float(row[7]) if len(row) == 8 else 1.0
            box = [float(value) for value in row[2:6]]
            frames[f"{row[0]},{int(row[1]):04d}"].append((score, int(row[6]), box))
    return {name: sorted(lines, key=lambda line: -line[0]) for name, lines in frames.items()}


def loop_over_frames(truth: Frames, found: Frames) -> dict[int, float]:
    scores: dict[int, list[np.ndarray]] = defaultdict(list)
    right: dict[int, list[np.ndarray]] = defaultdict(list)
    targets = {name: as_arrays(lines) for name, lines in truth.items()}
    for name, lines in found.items():
        target_boxes, target_actions, _ = targets.get(name) or as_arrays([])
        boxes, actions, own_scores = as_arrays(lines)
        valid = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        boxes, actions, own_scores = boxes[valid], actions[valid], own_scores[valid]
        for action in range(1, NUM_CLASSES + 1):
            own, wanted = actions == action, target_boxes[target_actions == action]
            order = np.argsort(-own_scores[own], kind="stable")
            overlaps = loop_iou(boxes[own][order], wanted)
            hits = np.zeros(len(order), bool)
            if len(wanted):
                best = overlaps.argmax(axis=1)
                taken = np.zeros(len(wanted), bool)
                for i, target in enumerate(best):
                    if overlaps[i, target] >= 0.5 and not taken[target]:
                        hits[i] = taken[target] = True
            scores[action].append(own_scores[own][order])
            right[action].append(hits)
    counts = np.bincount(np.concatenate([actions for _, actions, _ in targets.values()]))
    return {
        action: loop_area(
            np.concatenate(scores[action]), np.concatenate(right[action]), counts[action]
        )
        for action in np.flatnonzero(counts).tolist()
    }


def as_arrays(lines: list[tuple[float, int, list[float]]]) -> tuple[np.ndarray, ...]:
    """Boxes, actions and scores of a key frame."""
    boxes = np.array([box for _, _, box in lines], dtype=float).reshape(-1, 4)
    return boxes, np.array([a for _, a, _ in lines], int), np.array([s for s, _, _ in lines])


def loop_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (high - low).clip(min=0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)]
    return shared / (areas[0][:, None] + areas[1][None] - shared)


def loop_area(scores: np.ndarray, right: np.ndarray, count: int) -> float:
    right = right[np.argsort(-scores, kind="stable")]
    found = right.cumsum()
    recall = np.concatenate([[0], found / count, [1]])
    precision = np.concatenate([[0], found / np.arange(1, len(right) + 1), [0]])
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    steps = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return float(((recall[steps] - recall[steps - 1]) * precision[steps]).sum())


def seconds(action: Callable[[], Any], repeats: int) -> float:
    """The time of the fastest call."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        action()
        times.append(time.perf_counter() - begin)
    return min(times)


def compare(folder: Path, repeats: int) -> dict[str, float]:
    records, truth = read_truth(folder), loop_read(folder / "truth.csv")
    metric = AVAMeanAP(records)
    ours = metric.average_precisions(read_detections(folder / "found.csv"))
    plain = loop_over_frames(truth, loop_read(folder / "found.csv"))
    for action, value in plain.items():
        assert abs(ours[action] - value) < 1e-12, (action, ours[action], value)
    mean = np.mean(list(plain.values()))
    print(f"{NUM_CLASSES} classes, the same average precisions both ways; mean {mean:.4f}")
    tasks: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "whole": (
            lambda: loop_over_frames(
                loop_read(folder / "truth.csv"), loop_read(folder / "found.csv")
            ),
            lambda: AVAMeanAP(read_truth(folder)).score_file(folder / "found.csv"),
        ),
        "scoring": (
            lambda: loop_over_frames(truth, loop_read(folder / "found.csv")),
            lambda: metric.score_file(folder / "found.csv"),
        ),
        "reading": (
            lambda: loop_read(folder / "found.csv"),
            lambda: read_detections(folder / "found.csv"),
        ),
    }
    says = {
        "whole": "truth and detections from their csv to the scores",
        "scoring": "detections from their csv to the scores",
        "reading": "detections from their csv",
    }
    ratios = {}
    for name, (loop, here) in tasks.items():
        slow, fast = seconds(loop, 1), seconds(here, repeats)
        print(f"{says[name]}: {slow:.2f} s in a loop, {fast:.3f} s here")
        ratios[name] = slow / fast
    return ratios


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detections", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_task(Path(folder), options.detections)
        ratios = compare(Path(folder), options.repeats)
    print(
        json.dumps(
            {"detections": options.detections, "threads": 1}
            | {name: round(value, 1) for name, value in ratios.items()}
        )
    )
    return 0 if all(ratios[name] >= bar for name, bar in BARS.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
