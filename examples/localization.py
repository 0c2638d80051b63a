"""Temporal localization: when something happens in a long video, in the formats of ActivityNet.

    python examples/localization.py

Half a minute on a laptop. It writes to the current directory: data/, runs/bmn/, segments.json and
pictures/.
"""

import json
import subprocess
import sys
from pathlib import Path


def vidrec(*arguments: str) -> None:
    """Run a command as a terminal would: `vidrec train model=...`."""
    print("\n$ vidrec", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "vidrec", *arguments], check=True)


# 1. Train BMN on the embedded features, which are written on first use: sequences of noise with
#    segments in them. Real features come from `vidrec extract` with any recognition network, and
#    data=activitynet reads the published ones. With fewer epochs than the recipe has, the learning
#    rate drops as much earlier.
vidrec(
    "train",
    "model=bmn",
    "data.prepare.num_train=80",  # sequences
    "data.prepare.num_val=20",
    "schedule.epochs=4",
    "schedule.base_batch_size=8",
    "runtime.dashboard=none",
    "hydra.run.dir=runs/bmn",
)

# 2. Evaluate: how much of the annotated segments is found by so many proposals (AR@AN and its area,
#    AUC). It also writes the segments in ActivityNet's JSON, and a timeline of every video.
vidrec("evaluate", "run=runs/bmn", "dump=segments.json", "pictures=pictures")

# 3. The best segment of the first videos.
print("\nthe best segments:")
results = json.loads(Path("segments.json").read_text())["results"]
for video, segments in list(results.items())[:3]:
    best = max(segments, key=lambda segment: segment["score"])
    start, end = best["segment"]
    print(f"{video}: {start:.1f} s to {end:.1f} s, score {best['score']:.2f}")
print("pictures:", *sorted(path.name for path in Path("pictures").iterdir())[:4], "...")
