"""Spatio-temporal action detection: who does what where, in the formats of AVA.

    python examples/detection.py

Under a minute on a laptop. It writes to the current directory: data/, runs/detector/,
detections.csv and pictures/.
"""

import subprocess
import sys
from pathlib import Path


def vidrec(*arguments: str) -> None:
    """Run a command as a terminal would: `vidrec train model=...`."""
    print("\n$ vidrec", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "vidrec", *arguments], check=True)


# 1. Train a small detector on the embedded movies, which are written on first use. Shapes stand for
#    persons: each rises, falls, sways or is still, and may flicker. What a shape does can only be
#    seen inside of its box, over the frames around the key frame.
#
#    Real data: data=ava22 model=slowonly_ava. The embedded data have the same files: a csv of boxes
#    with actions, a label map, and person boxes of a detector (`vidrec persons` makes them).
vidrec(
    "train",
    "model=slowonly_ava_tiny",
    "data.prepare.num_train=40",  # movies
    "data.prepare.num_val=12",
    "model.net.backbone.base_channels=16",  # narrower than it comes, to be quick
    "model.net.roi_head.bbox_head.in_channels=64",
    "schedule.epochs=2",
    "schedule.batch_size=8",
    "schedule.base_batch_size=8",
    "runtime.dashboard=none",
    "hydra.run.dir=runs/detector",
)

# 2. Evaluate: mAP as the AVA challenge computes it, detections in its csv, and pictures of the key
#    frames with the highest and the lowest precision.
vidrec("evaluate", "run=runs/detector", "dump=detections.csv", "pictures=pictures/annotated")

# 3. Detect in key frames that nobody has annotated: a list of `video,timestamp` and the boxes of
#    persons are enough. There is no score then, but there are pictures with names and scores.
(root,) = Path("data").glob("shapes_ava*")
rows = [line.split(",") for line in (root / "val.csv").read_text().splitlines()]
moments = dict.fromkeys(f"{video},{timestamp}\n" for video, timestamp, *_ in rows)
Path("moments.csv").write_text("".join(moments))
vidrec(
    "evaluate",
    "run=runs/detector",
    "data.val.records.ann_file=moments.csv",
    "data.val.records.unannotated=true",
    "pictures=pictures/unknown",
)

print("\nthe first detections (video, second, box, action, score):")
print("".join(Path("detections.csv").read_text().splitlines(keepends=True)[:3]))
for folder in ("pictures/annotated", "pictures/unknown"):
    print(f"{folder}:", *sorted(path.name for path in Path(folder).iterdir()))
