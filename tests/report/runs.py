"""Run directories made by hand, whose figures can be computed by hand."""

import json

import torch

CONFIG = """
model: {task: recognition, net: {_target_: vidrec.models.recognizer.Recognizer2D}}
data: {name: shapes}
schedule: {epochs: 4}
"""

ROWS = [
    {"epoch": 1, "step": 2, "train/loss": 2.0, "train/top1": 0.25, "lr": 0.1,
     "time/step": 0.5, "time/data": 0.25, "samples_per_second": 8.0},
    {"epoch": 1, "step": 2, "val/top1": 0.5, "val/top5": 1.0},
    {"epoch": 2, "step": 8, "train/loss": 1.0, "train/top1": 0.5, "lr": 0.05,
     "time/step": 0.25, "time/data": 0.2, "samples_per_second": 16.0},
    {"epoch": 2, "step": 8, "val/top1": 0.75, "val/top5": 0.875},
    {"epoch": 3, "step": 12, "val/top1": 0.75, "val/top5": 1.0},
]  # fmt: skip


def make_run(folder, rows=ROWS, state="stopped", changes=(("schedule.epochs", 8, 4),), **said):
    """A run that was stopped after three of four epochs."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG)
    lines = [f"{json.dumps(key)}: {json.dumps(values)}\n" for key, *values in changes]
    (folder / "changes.yaml").write_text("# key: [recipe, run]\n" + "".join(lines))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    overrides = ["model=tsn_tiny", "schedule.epochs=4"]
    facts = {"state": state, "key": "top1", "higher_is_better": True, "overrides": overrides}
    (folder / "status.json").write_text(json.dumps(facts | said))
    torch.save({"net": {"weight": torch.ones(2, 3)}}, folder / "best.pt")
    return folder
