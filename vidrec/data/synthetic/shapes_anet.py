"""A small example of temporal localization in the formats of ActivityNet.

Sequences of noise with planted segments: all features of a segment are shifted in the direction of
its class. Each sequence is a function of (split, index), the same on every machine.
"""

import json
import sys
from pathlib import Path

import numpy as np

from vidrec.config.example_data import VERSIONS
from vidrec.files.write_once import write_once

CLASSES = ("circle", "square", "triangle", "cross")
SECONDS_PER_FEATURE = 1.5
FRAME_RATE = 30


def write_shapes_anet(
    root: str, num_train: int = 160, num_val: int = 60, length: int = 40, channels: int = 32
) -> None:
    """Write `train.json`, `val.json` and `csv/v_NAME.csv` into `root`, unless they exist.

    length, channels: of the sequences.
    """
    if length < 28:
        raise ValueError(f"length={length} leaves no room for three segments; use at least 28")

    def write(folder: Path) -> None:
        print(f"writing the example sequences to {root} (once)", file=sys.stderr)
        (folder / "csv").mkdir()
        for split, size in (("train", num_train), ("val", num_val)):
            videos = {}
            for i in range(size):
                name = f"v_{split}_{i:04d}"
                rng = np.random.default_rng([*split.encode(), i])
                features, segments = draw_sequence(rng, length, channels)
                header = ",".join(f"f{c}" for c in range(channels))
                file = folder / "csv" / f"{name}.csv"
                np.savetxt(file, features, fmt="%.4f", delimiter=",", header=header, comments="")
                videos[name] = _annotation(segments, length)
            (folder / f"{split}.json").write_text(json.dumps(videos, indent=1))

    sizes = f"train={num_train} val={num_val} length={length} channels={channels}"
    write_once(root, f"shapes_anet v{VERSIONS['shapes_anet']} {sizes}", write)


def draw_sequence(
    rng: np.random.Generator, length: int, channels: int
) -> tuple[np.ndarray, list[tuple[int, int, str]]]:
    """Features (length, channels) and the segments (start, end, class) in them.

    One to three segments with gaps between them, none at the very end, where BMN has no proposals.
    """
    num_segments = int(rng.integers(1, 4))
    cuts = 4 * np.sort(rng.choice(np.arange(1, length // 4), 2 * num_segments, replace=False))
    cuts += rng.integers(0, 2, len(cuts))  # no gap and no segment of less than three features
    # A fixed seed: the directions are the same in both splits.
    directions = np.random.default_rng(0).normal(size=(len(CLASSES), channels))
    features = rng.normal(size=(length, channels))
    segments = []
    for start, end in cuts.reshape(-1, 2).tolist():
        label = int(rng.integers(len(CLASSES)))
        features[start:end] += directions[label]
        segments.append((start, end, CLASSES[label]))
    return features, segments


def _annotation(segments: list[tuple[int, int, str]], length: int) -> dict[str, object]:
    seconds = length * SECONDS_PER_FEATURE
    frames = round(seconds * FRAME_RATE)
    annotations = [
        {"segment": [start * SECONDS_PER_FEATURE, end * SECONDS_PER_FEATURE], "label": label}
        for start, end, label in segments
    ]
    return {
        "duration_second": seconds,
        "duration_frame": frames,
        "annotations": annotations,
        "feature_frame": frames,
    }
