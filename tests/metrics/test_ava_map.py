"""tests/golden/ava_map.npz was computed with MMAction2 1.2.0.

Its sort leaves the order of equal scores to the processor; `ties_*` says which it was, and scores
are lowered by that much of a millionth here. Boxes and scores are thousandths.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.paths import GOLDEN
from vidrec.config.schema import RuntimeConf
from vidrec.data.boxes.annotations import read_ava
from vidrec.data.boxes.records import BoxRecords
from vidrec.data.ragged import Ragged
from vidrec.engine.distributed import Distributed
from vidrec.engine.evaluate import evaluate
from vidrec.metrics.ava_csv import BoxDetections, read_detections
from vidrec.metrics.ava_ground_truth import rows_of_key_frames, true_actions
from vidrec.metrics.ava_map import AVAMeanAP

GROUPS = {
    "person_movement": [1, 14],
    "object_manipulation": [15, 63],
    "person_interaction": [64, 80],
}


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "ava_map.npz") as file:
        return dict(file)


def write_truth(golden, folder):
    """The files of the truth."""
    lines = [
        f"vid{video:03d},{time},{x1 / 1e3},{y1 / 1e3},{x2 / 1e3},{y2 / 1e3},{action},0\n"
        for video, time, x1, y1, x2, y2, action in golden["truth"].tolist()
    ]
    (folder / "truth.csv").write_text("".join(lines))
    lines = [f"vid{video:03d},{time}\n" for video, time in golden["excluded"].tolist()]
    (folder / "excluded.csv").write_text("".join(lines))
    items = [f'item {{ name: "act{i:02d}" id: {i} }}\n' for i in golden["classes"].tolist()]
    (folder / "labels.pbtxt").write_text("".join(items))


def golden_records(folder, *, exclude=True, custom=None):
    return read_ava(
        str(folder / "truth.csv"),
        str(folder / "labels.pbtxt"),
        str(folder / "excluded.csv") if exclude else None,
        num_classes=81 if custom is None else len(custom) + 1,
        custom_classes=custom,
    )


def golden_detections(golden, case, kept=None):
    names = [f"vid{video:03d},{time:04d}" for video, time in golden["frames"].tolist()]
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    kept = np.ones(len(names), bool) if kept is None else kept
    return BoxDetections(
        list(number),
        np.array([number[name] for name in names])[kept],
        golden["boxes"][kept] / 1e3,
        golden["actions"][kept].astype(np.int64),
        (golden["scores"] / 1e3 - golden[f"ties_{case}"] * 1e-6)[kept],
    )


def assert_is_golden(metric, golden, case, detections):
    precisions = metric.average_precisions(detections)
    scores = metric.summary(precisions)
    found = [scores.get(name, np.nan) for name in ("mAP@0.5", *GROUPS)]
    np.testing.assert_allclose(found, golden[f"result_{case}"], rtol=0, atol=1e-12)
    classes = golden[f"classes_{case}"]
    own = [precisions[action] for action in classes[:, 0].tolist()]
    np.testing.assert_allclose(own, classes[:, 1] / 1e4, rtol=0, atol=5.01e-5)


@pytest.mark.parametrize("case", ["default", "no_exclude", "custom"])
def test_the_published_figures(golden, tmp_path, case):
    write_truth(golden, tmp_path)
    custom = golden["custom"].tolist() if case == "custom" else None
    records = golden_records(tmp_path, exclude=case != "no_exclude", custom=custom)
    metric = AVAMeanAP(records, groups=GROUPS, compat=True)
    assert_is_golden(metric, golden, case, golden_detections(golden, case))


def test_detections_in_frames_without_truth_are_wrong_as_in_the_published_option(golden, tmp_path):
    # There too the true boxes of excluded frames are missed: here by having no detection.
    write_truth(golden, tmp_path)
    excluded = {tuple(frame) for frame in golden["excluded"].tolist()}
    kept = np.array([tuple(frame) not in excluded for frame in golden["frames"].tolist()])
    metric = AVAMeanAP(golden_records(tmp_path, exclude=False), groups=GROUPS)
    assert_is_golden(metric, golden, "keep_empty", golden_detections(golden, "keep_empty", kept))


def test_all_classes_agree_with_pycocotools(golden, tmp_path):
    """COCO matches a detection with the best box that is still free, AVA with the best of all."""
    coco_api = pytest.importorskip("pycocotools.coco")
    evaluator = pytest.importorskip("pycocotools.cocoeval")
    write_truth(golden, tmp_path)
    records = golden_records(tmp_path)
    # One true box a class and frame: there the two rules are the same.
    metric = AVAMeanAP(single(records))
    detections = golden_detections(golden, "default")
    ours = metric.average_precisions(detections)
    frames, boxes, actions = true_actions(records, metric.actions)
    rows = rows_of_key_frames(records, detections.names)[detections.frames]
    own = rows >= 0
    coco = coco_api.COCO()
    coco.dataset = {
        "images": [{"id": i} for i in sorted({*rows[own].tolist(), *frames.tolist()})],
        "categories": [{"id": i} for i in metric.actions.tolist()],
        "annotations": [
            {"id": i, "image_id": row, "category_id": action, "bbox": xywh(box), "iscrowd": 0}
            | {"area": 1.0}
            for i, (row, box, action) in enumerate(
                zip(frames.tolist(), boxes, actions.tolist(), strict=True), start=1
            )
        ],
    }
    coco.createIndex()
    found = coco.loadRes(
        [
            {"image_id": row, "category_id": action, "bbox": xywh(box), "score": score}
            for row, box, action, score in zip(
                rows[own].tolist(),
                detections.boxes[own],
                detections.actions[own].tolist(),
                detections.scores[own].tolist(),
                strict=True,
            )
        ]
    )
    scored = evaluator.COCOeval(coco, found, "bbox")
    scored.params.iouThrs = np.array([0.5])
    scored.params.recThrs = np.linspace(0, 1, 20001)  # an area, not 101 points
    scored.params.maxDets = [10_000]
    scored.params.areaRng, scored.params.areaRngLbl = [[0, 1e10]], ["all"]
    scored.evaluate()
    scored.accumulate()
    theirs = scored.eval["precision"][0, :, :, 0, 0].mean(axis=0)
    np.testing.assert_allclose(list(ours.values()), theirs, atol=2e-4)


def single(records):
    """The first box with each action in every frame."""
    frame = np.repeat(np.arange(len(records)), np.diff(records.boxes.ends))
    box = np.repeat(np.arange(len(frame)), np.diff(records.labels.ends))
    _, first = np.unique(frame[box] * 1000 + records.labels.values, return_index=True)
    kept = np.zeros(len(box), bool)
    kept[first] = True
    counts = np.bincount(box[kept], minlength=len(frame))
    ends = np.concatenate([[0], counts.cumsum()])
    records.labels = Ragged(records.labels.values[kept], ends)
    return records


def xywh(box):
    x1, y1, x2, y2 = box.tolist()
    return [x1, y1, x2 - x1, y2 - y1]


def toy_records(lines, classes=("run", "jump"), excluded=()):
    """lines: (video, timestamp, box, action id)."""
    frames = sorted({(video, time) for video, time, _, _ in lines} - set(excluded))
    lines = sorted((line for line in lines if line[:2] in frames), key=lambda line: line[:2])
    ends = np.searchsorted([frames.index(line[:2]) for line in lines], range(len(frames)), "right")
    videos = sorted({video for video, _ in frames})
    none = np.zeros(len(frames) + 1, np.int64)
    return BoxRecords(
        tuple(videos),
        np.array([videos.index(video) for video, _ in frames]),
        np.array([float(time) for _, time in frames]),
        Ragged(np.array([line[2] for line in lines], np.float32), np.concatenate([[0], ends])),
        Ragged(np.array([line[3] for line in lines]), np.arange(len(lines) + 1)),
        Ragged(np.zeros((0, 4), np.float32), none),
        Ragged(np.zeros(0, np.float32), none),
        5,
        dict(enumerate(classes, start=1)),
        {i: i for i in range(1, 5)},
        excluded=frozenset((video, float(time)) for video, time in excluded),
        excluded_actions={1: 1} if excluded else {},
    )


LEFT, RIGHT = (0.0, 0.0, 0.4, 1.0), (0.5, 0.0, 0.9, 1.0)


def found(*lines):
    """lines: (name, box, action, score)."""
    names = list(dict.fromkeys(line[0] for line in lines))
    return BoxDetections(
        names,
        np.array([names.index(line[0]) for line in lines], np.int64),
        np.array([line[1] for line in lines], np.float64).reshape(-1, 4),
        np.array([line[2] for line in lines], np.int64),
        np.array([line[3] for line in lines], np.float64),
    )


def test_a_class_that_is_never_detected_has_zero():
    records = toy_records([("a", 1, LEFT, 1), ("a", 1, LEFT, 2), ("a", 1, RIGHT, 1)], ("x", "y"))
    detections = found(("a,0001", LEFT, 1, 0.9), ("a,0001", RIGHT, 1, 0.8))
    for compat, expected in ((False, 0.5), (True, 1.0)):
        metric = AVAMeanAP(records, compat=compat)
        assert metric.summary(metric.average_precisions(detections)) == {"mAP@0.5": expected}


def test_a_class_that_never_occurs_does_not_count():
    metric = AVAMeanAP(toy_records([("a", 1, LEFT, 1)]))
    precisions = metric.average_precisions(
        found(("a,0001", LEFT, 1, 0.9), ("a,0001", LEFT, 2, 0.99), ("a,0001", LEFT, 7, 0.99))
    )
    assert precisions[1] == 1
    assert np.isnan(precisions[2])
    assert 7 not in precisions
    assert metric.summary(precisions) == {"mAP@0.5": 1}


def test_frames_without_truth_and_excluded_ones():
    lines = [("a", 1, LEFT, 1), ("a", 2, LEFT, 1)]
    records = toy_records(lines, ("run",), excluded=[("a", 2)])
    detections = found(
        ("b,0007", LEFT, 1, 0.95), ("a,0002", RIGHT, 1, 0.99), ("a,0001", LEFT, 1, 0.9)
    )
    # Wrong in b at precision 1/2; a,0002 does not count.
    assert AVAMeanAP(records).average_precisions(detections)[1] == 0.5
    # Here b does not count, and half of the true boxes, one excluded, are missed.
    assert AVAMeanAP(records, compat=True).average_precisions(detections)[1] == 0.5
    alone = found(("a,0001", LEFT, 1, 0.9))
    assert AVAMeanAP(records).average_precisions(alone)[1] == 1
    assert AVAMeanAP(records, compat=True).average_precisions(alone)[1] == 0.5


def test_a_true_box_is_met_once_and_only_by_those_that_overlap_it_most():
    records = toy_records([("a", 1, LEFT, 1), ("a", 1, (0.0, 0.0, 0.45, 1.0), 1)], ("run",))
    # All three overlap the first box most: the second one stays unmet, though it is near.
    detections = found(*[("a,0001", LEFT, 1, score) for score in (0.7, 0.9, 0.8)])
    assert AVAMeanAP(records).average_precisions(detections)[1] == 0.5


def test_overlap_at_the_threshold_is_enough_and_is_that_of_the_decimals():
    # 0.1 / 0.2: of the numbers of 32 bits next to 0.4, 0.5 and 0.6 it is 0.49999992.
    records = toy_records([("a", 1, (0.4, 0.0, 0.6, 1.0), 1)], ("run",))
    rows = {
        "index": np.array([0]),
        "boxes": np.array([[0.4, 0.0, 0.5, 1.0]], np.float32),
        "scores": np.array([[0.0, 0.9]], np.float32),
    }
    assert AVAMeanAP(records).compute(rows) == {"mAP@0.5": 1}
    assert AVAMeanAP(records, iou_threshold=0.51).compute(rows) == {"mAP@0.51": 0}


def test_boxes_without_area_are_no_detections():
    records = toy_records([("a", 1, LEFT, 1)], ("run",))
    detections = found(("a,0001", (0.3, 0.0, 0.3, 1.0), 1, 0.99), ("a,0001", LEFT, 1, 0.9))
    assert AVAMeanAP(records).average_precisions(detections)[1] == 1
    assert AVAMeanAP(records, compat=True).average_precisions(detections)[1] == 0.5


def test_at_most_so_many_actions_of_a_frame():
    records = toy_records([("a", 1, LEFT, 1), ("b", 1, LEFT, 1)], ("run",))
    detections = found(
        ("a,0001", RIGHT, 1, 0.9), ("b,0001", LEFT, 1, 0.5), ("a,0001", LEFT, 1, 0.8)
    )
    # Without a limit: wrong, right, right. With it: wrong, right.
    assert AVAMeanAP(records).average_precisions(detections)[1] == pytest.approx(2 / 3)
    assert AVAMeanAP(records, max_per_frame=1).average_precisions(detections)[1] == 0.25
    # Classes that nobody evaluates take nobody's place.
    more = found(*[("a,0001", LEFT, 5, 0.99)] * 3, ("a,0001", LEFT, 1, 0.8))
    assert AVAMeanAP(records, max_per_frame=1).average_precisions(more)[1] == 0.5


def test_only_actions_above_the_score_threshold_are_detections():
    records = toy_records([("a", 1, LEFT, 1), ("b", 1, LEFT, 1)], ("run",))
    rows = {
        "index": np.array([0, 1]),
        "boxes": np.array([LEFT, RIGHT], np.float32),
        "scores": np.array([[0.0, 0.5], [0.9, 0.002]], np.float32),
    }
    metric = AVAMeanAP(records, score_threshold=0.01)
    detections = metric.detections(rows)
    assert [detections.names[i] for i in detections.frames] == ["a,0001"]
    assert detections.actions.tolist() == [1]


def test_groups_of_ids_have_means_of_their_own():
    lines = [("a", 1, LEFT, 1), ("a", 1, RIGHT, 2), ("a", 1, RIGHT, 3)]
    records = toy_records(lines, ("x", "y", "z"))
    metric = AVAMeanAP(records, groups={"left": [1, 1], "right": [2, 3], "none": [4, 9]})
    precisions = metric.average_precisions(
        found(("a,0001", LEFT, 1, 0.9), ("a,0001", RIGHT, 2, 0.8))
    )
    assert metric.summary(precisions) == {"mAP@0.5": 2 / 3, "left": 1, "right": 0.5}
    with pytest.raises(ValueError, match=r"groups\.left=\[1\] is not a first and a last id"):
        AVAMeanAP(records, groups={"left": [1]})


class Net(torch.nn.Module):
    """Scores that are in the batch."""

    def predict(self, batch):
        return {name: batch[name] for name in ("scores", "proposals", "sample")}


class Loader(list):
    """The batches of one rank, of a dataset of batches."""

    def __init__(self, dataset, rank, world):
        super().__init__(dataset[rank::world])
        self.dataset = dataset


def evaluate_on(world, batches, records):
    """What the last rank has, when all run one after the other."""
    shared = []

    class Rank(Distributed):
        def gather(self, rows):
            if "index" not in rows:
                return {"scored": np.array([len(batches)]), "bad": np.array([0])}
            shared.append(rows)
            return {name: np.concatenate([part[name] for part in shared]) for name in rows}

    for rank in range(world):
        loader = Loader(batches, rank, world)
        result = evaluate(Net(), AVAMeanAP(records), loader, RuntimeConf(), Rank())
    return result


def test_the_same_numbers_on_any_number_of_ranks():
    rng = np.random.default_rng(0)
    records = toy_records([(f"v{i}", 1, LEFT, i % 2 + 1) for i in range(12)])
    batches = [
        {
            "index": torch.tensor([i]),
            "proposals": torch.tensor([LEFT, RIGHT]),
            "sample": torch.tensor([0, 0]),
            # Many scores are equal.
            "scores": torch.from_numpy(rng.integers(1, 4, (2, 3)) / 4),
        }
        for i in range(12)
    ]
    scores, rows = evaluate_on(1, batches, records)
    assert 0 < scores["mAP@0.5"] < 1
    for world in (2, 5):
        shared_scores, shared_rows = evaluate_on(world, batches, records)
        assert shared_scores == scores
        for name, values in rows.items():
            np.testing.assert_array_equal(values, shared_rows[name])


def test_a_rank_without_boxes_has_rows_of_the_same_shape():
    records = toy_records([("a", 1, LEFT, 1)])
    rows = AVAMeanAP(records).rows
    assert {name: values.shape for name, values in rows.items()} == {
        "index": (0,),
        "boxes": (0, 4),
        "scores": (0, 5),
    }
    assert AVAMeanAP(records).compute(rows) == {"mAP@0.5": 0}


def test_each_key_frame_has_a_precision_of_its_own():
    lines = [("a", 1, LEFT, 1), ("a", 1, RIGHT, 2), ("b", 1, LEFT, 1), ("c", 1, LEFT, 1)]
    records = toy_records([*lines, ("d", 1, LEFT, 3)], ("run", "jump"))
    rows = {
        "index": np.array([0, 0, 1, 1, 3]),
        "boxes": np.array([LEFT, RIGHT, RIGHT, LEFT, LEFT], np.float32),
        "scores": np.array(
            [[0, 0.9, 0.1], [0, 0.2, 0.8], [0, 0.7, 0.0], [0, 0.5, 0.0], [0, 0.9, 0.9]], np.float32
        ),
    }
    # Both before the wrong ones; after a wrong one; never; what is true in d is not evaluated.
    precisions = AVAMeanAP(records).frame_precisions(rows)
    np.testing.assert_array_equal(precisions, [1, 0.5, 0, np.nan])


def test_what_is_dumped_scores_the_same(tmp_path):
    rng = np.random.default_rng(1)
    lines = [(f"v{i}", 902, rng.uniform([0, 0, 0.5, 0.5], [0.4, 0.4, 1, 1]), 1) for i in range(40)]
    records = toy_records(lines)
    index = np.repeat(np.arange(40), 2)
    rows = {
        "index": index,
        "boxes": (records.boxes.values[index] + rng.uniform(-0.15, 0.15, (80, 4))).astype(
            np.float32
        ),
        "scores": rng.uniform(size=(80, 3)).astype(np.float32),
    }
    metric = AVAMeanAP(records)
    metric.dump(rows, tmp_path / "found.csv")
    assert metric.score_file(tmp_path / "found.csv") == metric.compute(rows)
    written = read_detections(tmp_path / "found.csv")
    assert (written.scores.astype(np.float32) == metric.detections(rows).scores).all()
    assert metric.charts(rows)["class_ap"].values["run"] == metric.compute(rows)["mAP@0.5"]


def test_what_cannot_be_scored_is_said(tmp_path):
    records = toy_records([("a", 1, LEFT, 1)])
    metric = AVAMeanAP(records)
    (tmp_path / "found.csv").write_text("b,0001,0,0,1,1,1,0.5\n")
    with pytest.raises(ValueError, match=r"none of the 1 annotated key frames.*'b,0001'.*'a,0001'"):
        metric.score_file(tmp_path / "found.csv")
    rows = {
        "index": np.array([0]),
        "boxes": np.array([LEFT], np.float32),
        "scores": np.array([[0, np.nan, 0]], np.float32),
    }
    with pytest.raises(ValueError, match="1 boxes have scores that are not finite"):
        metric.compute(rows)
    with pytest.raises(ValueError, match=r"iou_threshold=1.5 is outside"):
        AVAMeanAP(records, iou_threshold=1.5)
    with pytest.raises(ValueError, match="max_per_frame=0 must be at least 1"):
        AVAMeanAP(records, max_per_frame=0)


def test_without_any_true_box_precision_is_not_defined(caplog):
    no_boxes = Ragged(np.zeros((0, 4), np.float32), np.zeros(2, np.int64))
    no_labels = Ragged(np.zeros(0, np.int64), np.zeros(1, np.int64))
    records = replace(toy_records([("a", 1, LEFT, 1)]), boxes=no_boxes, labels=no_labels)
    metric = AVAMeanAP(records)
    (score,) = metric.summary(metric.average_precisions(found(("a,0001", LEFT, 1, 0.9)))).values()
    assert np.isnan(score)
    assert "have no boxes" in caplog.text


@pytest.mark.parametrize("proposals", [False, True])
def test_an_evaluation_without_proposals_is_told(tmp_path, caplog, proposals):
    """Whole frames fit no person: the score would be a riddle."""
    (tmp_path / "a.csv").write_text("v,0902,0.1,0.1,0.4,0.4,3,0\n")
    (tmp_path / "p.csv").write_text("v,0902,0.1,0.1,0.4,0.4,0.9\n")
    file = str(tmp_path / "p.csv") if proposals else None
    AVAMeanAP(read_ava(str(tmp_path / "a.csv"), proposal_file=file))
    assert ("no key frame has a proposal" in caplog.text) != proposals
