"""Action recognition on a folder of your own videos, from files to predictions.

    python examples/recognition.py

Half a minute on a laptop. It writes to the current directory: my_videos/, runs/mine/,
predictions.csv and pictures/.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

from vidrec.data.synthetic.shapes import draw_shape
from vidrec.data.video.writer import write_video


def vidrec(*arguments: str) -> None:
    """Run a command as a terminal would: `vidrec train model=...`."""
    print("\n$ vidrec", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "vidrec", *arguments], check=True)


# 1. The videos: one folder for each class, under train/ and val/. Here they are drawn; put yours in
#    the same places. Any length, size and format that ffmpeg reads will do.
#
#    my_videos/
#    ├── train/
#    │   ├── circle/00.mp4, 01.mp4, ...
#    │   ├── square/...
#    │   └── star/...
#    └── val/
#        └── ...
for split, number in (("train", 16), ("val", 6)):
    for label, name in enumerate(("circle", "square", "star")):
        for i in range(number):
            path = Path("my_videos", split, name, f"{i:02}.mp4")
            path.parent.mkdir(parents=True, exist_ok=True)
            seed = [label, i, split == "val"]
            write_video(path, draw_shape(name, np.random.default_rng(seed)), 12)

# 2. Train. model=tsn_tiny is small enough for a CPU; on a GPU take model=tsn, tsm, slowfast, ...,
#    which start from published weights. The folders are the classes. hydra.run.dir is where the
#    run goes; without it the name tells what was chosen.
vidrec(
    "train",
    "model=tsn_tiny",
    "data=folders",
    "data.root=my_videos",
    "schedule.epochs=4",
    "schedule.batch_size=8",
    "schedule.base_batch_size=8",
    "runtime.dashboard=none",
    "hydra.run.dir=runs/mine",
)

# 3. Evaluate the best epoch with the test protocol: several clips of each video, averaged. It also
#    writes the scores of every video, and the pictures: a confusion matrix, and clips with what was
#    predicted, wrong ones first.
vidrec("evaluate", "run=runs/mine", "dump=predictions.csv", "pictures=pictures")

# 4. What is there now.
print("\nthe first predictions:")
print("".join(Path("predictions.csv").read_text().splitlines(keepends=True)[:3]))
for folder in ("runs/mine", "pictures"):
    print(f"{folder}:", *sorted(path.name for path in Path(folder).iterdir()))
