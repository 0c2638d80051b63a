"""Detection as a user types it, on the embedded example."""

import csv
import json
import re
from collections import defaultdict

import numpy as np
import pytest

from tests.paths import ROOT
from vidrec.data.boxes.person_proposals import write_proposals
from vidrec.data.synthetic.shapes_ava import write_shapes_ava

QUIET = ["runtime.dashboard=none", "runtime.progress=false", "runtime.num_workers=0"]
# Two epochs of a narrow network on some of the movies give a mAP of about 0.85.
MOVIES = {"num_train": 40, "num_val": 12}
SHORT = [
    "model=slowonly_ava_tiny", "model.net.backbone.base_channels=16",
    "model.net.roi_head.bbox_head.in_channels=64", "schedule.epochs=2", "schedule.batch_size=8",
    "schedule.base_batch_size=8",
]  # fmt: skip


def scores(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row["val/mAP@0.5"] for row in rows if "val/mAP@0.5" in row]


def shown(text):
    return re.findall(r"^(mAP\S+)\s+([\d.]+)", text, re.M)


@pytest.mark.slow
def test_a_detector_learns_what_happens_in_the_boxes(run, tmp_path):
    prepare = [f"data.prepare.{name}={number}" for name, number in MOVIES.items()]
    status, text = run(
        ROOT / "train.py", *SHORT, *prepare, *QUIET, "hydra.run.dir=runs/a", cwd=tmp_path
    )
    assert status == 0, text
    folder = tmp_path / "runs" / "a"
    best = max(scores(folder))
    assert best >= 0.7
    for name in ("best.png", "worst.png", "boxes.mp4", "class_ap.png"):
        assert (folder / name).stat().st_size > 1000
    # The same number from the checkpoint, on one rank and on two, and from its csv alone.
    evaluate = [ROOT / "evaluate.py", "run=runs/a", "runtime.progress=false"]
    status, text = run(*evaluate, "dump=a.csv", "pictures=pictures", cwd=tmp_path)
    assert status == 0, text
    first = shown(text)
    assert float(first[0][1]) == pytest.approx(best, abs=1e-4)
    assert (tmp_path / "pictures" / "worst.png").is_file()
    status, text = run(*evaluate, "runtime.num_workers=0", cwd=tmp_path, ranks=2)
    assert status == 0, text
    assert shown(text) == first
    status, text = run(ROOT / "evaluate.py", *SHORT, *prepare, "score=[a.csv]", cwd=tmp_path)
    assert status == 0, text
    assert shown(text) == first
    # Three views of each clip together show what one does.
    status, text = run(*evaluate, "data/views=three_crop", "model.clip.test_size=96", cwd=tmp_path)
    assert status == 0, text
    assert float(shown(text)[0][1]) > 0.7
    # Key frames that nobody annotated are drawn too.
    (root,) = (tmp_path / "data").glob("shapes_ava*")
    rows = list(csv.reader((root / "val.csv").read_text().splitlines()))
    listed = dict.fromkeys(f"{video},{timestamp}\n" for video, timestamp, *_ in rows)
    (tmp_path / "list.csv").write_text("".join(listed))
    status, text = run(
        *evaluate, "data.val.records.ann_file=list.csv", "data.val.records.unannotated=true",
        "pictures=unknown", cwd=tmp_path,
    )  # fmt: skip
    assert status == 0, text
    assert (tmp_path / "unknown" / "detections.png").is_file()


@pytest.mark.slow
def test_boxes_of_other_places_do_not_help(run, tmp_path):
    """The same movies and actions, each at the box of another person: what is left is chance."""
    root = tmp_path / "shuffled"
    write_shapes_ava(str(root), **MOVIES)
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        persons = defaultdict(list)
        with open(root / f"{split}.csv", newline="") as file:
            for row in csv.reader(file):
                persons[row[0], row[1], row[7]].append(row)
        boxes = [rows[0][2:6] for rows in persons.values()]
        order = rng.permutation(len(boxes))
        proposals = defaultdict(list)
        with open(root / f"{split}.csv", "w", newline="") as file:
            for ((video, timestamp, _), rows), i in zip(persons.items(), order, strict=True):
                proposals[f"{video},{timestamp}"].append([*map(float, boxes[i]), 1.0])
                for row in rows:
                    csv.writer(file).writerow([*row[:2], *boxes[i], *row[6:]])
        arrays = {key: np.array(rows) for key, rows in proposals.items()}
        write_proposals(str(root / f"{split}_persons.pkl"), arrays)
    status, text = run(
        ROOT / "train.py", *SHORT, *QUIET, f"data.root={root}", "data.prepare=null",
        "hydra.run.dir=runs/a", cwd=tmp_path,
    )  # fmt: skip
    assert status == 0, text
    assert max(scores(tmp_path / "runs" / "a")) < 0.45


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=slowonly_tiny", "data=shapes_ava"], r"the model is for recognition"),
        (["data.train.prefix=gone"], r"2 of 2 videos are missing under gone"),
        (["data=ava21"], r"data/ava/annotations/ava_\S+ does not exist"),
        (["data=shapes_ava", "data.num_classes=5"], r"has the id 5, but num_classes=5"),
        (["data.train.records.proposal_file=x.pkl"], r"x\.pkl does not exist"),
    ],
)
def test_bad_requests_are_told_before_training(run, tmp_path, overrides, message):
    root = tmp_path / "shapes_ava"
    write_shapes_ava(str(root), num_train=2, num_val=1)
    roots = [] if "ava21" in overrides[0] else [f"data.root={root}", "data.prepare=null"]
    model = [] if overrides[0].startswith("model") else ["model=slowonly_ava_tiny"]
    status, text = run(ROOT / "train.py", *model, *QUIET, *roots, *overrides, cwd=tmp_path)
    assert status == 1
    assert re.search(message, text), text
    assert "Traceback" not in text
