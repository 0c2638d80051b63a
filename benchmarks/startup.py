"""Seconds until the command line answers: `--cfg job`, `--help`, and the error for a misspelt key.

    python benchmarks/startup.py

The fastest of several runs each, in fresh processes, with bare imports for comparison.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRAIN = Path(__file__).resolve().parents[1] / "train.py"
COMMANDS = {
    "import hydra": ["-c", "import hydra"],
    "import torch": ["-c", "import torch"],
    "--cfg job": [str(TRAIN), "--cfg", "job"],
    "--help": [str(TRAIN), "--help"],
    "typo": [str(TRAIN), "schedule.epocs=3"],
    "typo in a module's argument": [str(TRAIN), "model.net.backbone.detph=3"],
}


def seconds(arguments: list[str], repeats: int = 5) -> float:
    best = float("inf")
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True)
            best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    results = {name: seconds(arguments) for name, arguments in COMMANDS.items()}
    for name, value in results.items():
        print(f"{name:30s} {value:6.2f} s")
    print(json.dumps({name: round(value, 3) for name, value in results.items()}))


if __name__ == "__main__":
    main()
