import av
import numpy as np
import pytest
from PIL import Image

from vidrec.data.boxes.records import BoxRecords
from vidrec.data.ragged import Ragged
from vidrec.metrics.ava_map import AVAMeanAP
from vidrec.plots.boxes import (
    BAR,
    HEIGHT,
    LEAST_WIDTH,
    annotated,
    draw_boxes,
    extremes,
    load_sample,
    surest,
)

GREEN, RED, YELLOW = (90, 225, 120), (255, 120, 105), (255, 214, 90)
BLUE = (130, 195, 255)
LEFT, RIGHT = (0.125, 0.25, 0.375, 0.75), (0.625, 0.25, 0.875, 0.75)
WIDTH, FRAMES = 128, 4


def records(num_frames, boxes=(LEFT, RIGHT), labels=(1, 2)):
    """Key frames of one video, each with a box that runs and one that jumps."""
    count = len(boxes)
    return BoxRecords(
        ("v",),
        np.zeros(num_frames, np.int64),
        902.0 + np.arange(num_frames),
        Ragged(
            np.tile(np.array(boxes, np.float32).reshape(-1, 4), (num_frames, 1)),
            count * np.arange(num_frames + 1),
        ),
        Ragged(np.tile(np.array(labels, np.int64), num_frames), np.arange(num_frames * count + 1)),
        Ragged(np.zeros((0, 4), np.float32), np.zeros(num_frames + 1, np.int64)),
        Ragged(np.zeros(0, np.float32), np.zeros(num_frames + 1, np.int64)),
        3,
        {1: "run", 2: "jump over something that is high"},
        {1: 1, 2: 2},
    )


class Dataset:
    """Grey clips; the first view begins `left` pixels from the left edge of the frame."""

    def __init__(self, records, *, height=64, left=0, bad=()):
        self.records, self.height, self.left, self.bad = records, height, left, bad

    def __getitem__(self, row):
        if row in self.bad:
            return {"bad_videos": [("v", "cut off")]}
        record = self.records[row]
        scale = np.array([WIDTH, self.height] * 2, np.float32)
        shift = np.array([self.left, 0, self.left, 0], np.float32)
        proposals = np.array([LEFT, RIGHT], np.float32)
        inside = [i for i in range(2) if self.left == 0 or proposals[i, 0] * WIDTH > self.left]
        labels = np.zeros((len(record.boxes), 3), np.float32)
        for own, columns in zip(labels, record.labels, strict=True):
            own[list(columns)] = 1
        kept = record.boxes[:, 0] * WIDTH >= self.left
        return {
            "video": np.full((1, 2, FRAMES, self.height, WIDTH - self.left, 3), 40, np.uint8),
            # Further views, which are not shown, come with boxes too.
            "boxes": np.concatenate([np.zeros((1, 4)), proposals[inside] * scale - shift]),
            "box_view": np.array([1] + [0] * len(inside)),
            "box_proposal": np.array([0, *inside]),
            "proposals": proposals,
            "gt_boxes": (record.boxes * scale - shift)[kept],
            "gt_labels": labels[kept],
        }


def rows_of(scores):
    """scores: for each key frame those of LEFT and of RIGHT, (run, jump)."""
    scores = np.array(scores, np.float32).reshape(-1, 2)
    return {
        "index": np.repeat(np.arange(len(scores) // 2), 2),
        "boxes": np.tile(np.array([LEFT, RIGHT], np.float32), (len(scores) // 2, 1)),
        "scores": np.concatenate([np.ones((len(scores), 1), np.float32), scores], axis=1),
    }


def test_the_best_and_the_worst_are_no_others():
    precisions = np.array([0.5, np.nan, 0.0, 1.0, 0.25, 0.75])
    best, worst = extremes(precisions, 2)
    assert best == [(3, 1.0), (5, 0.75)]
    assert worst == [(2, 0.0), (4, 0.25)]
    best, worst = extremes(precisions, 10)
    assert sorted(row for row, _ in best + worst) == [0, 2, 3, 4, 5]
    assert extremes(np.array([0.5]), 3) == ([(0, 0.5)], [])
    # Where all are equal those at the beginning are nothing special.
    rows = [row for row, _ in extremes(np.ones(1000), 10)[0]]
    assert min(rows) < 300
    assert max(rows) > 700


def test_what_is_right_wrong_and_missed():
    metric = AVAMeanAP(records(1))
    rows = rows_of([[(0.9, 0.4), (0.6, 0.2)]])
    sample = load_sample(metric, rows, Dataset(metric.records), 0, 0.5)
    assert sample.title == "v,0902, AP 0.50"
    assert sample.frames.shape == (FRAMES, 64, WIDTH, 3)
    jump = "jump over something tha…"
    assert [(one.labels, one.dashed) for one in sample.boxes] == [
        ([("run 0.90", GREEN), (f"{jump} 0.40", RED)], False),
        ([("run 0.60", RED)], False),
        ([], True),
        ([(jump, YELLOW)], True),
    ]
    assert [one.box for one in sample.boxes] == [
        (16.0, 16.0, 48.0, 48.0),
        (80.0, 16.0, 112.0, 48.0),
    ] * 2


def test_boxes_lie_where_the_first_view_has_them():
    metric = AVAMeanAP(records(1))
    rows = rows_of([[(0.9, 0.0), (0.0, 0.8)]])
    sample = load_sample(metric, rows, Dataset(metric.records, left=60), 0, 1.0)
    jump = ("jump over something tha… 0.80", GREEN)
    assert [(one.box, one.labels) for one in sample.boxes] == [
        ((20.0, 16.0, 52.0, 48.0), [jump]),
        ((20.0, 16.0, 52.0, 48.0), []),
    ]


def test_a_key_frame_without_any_box_found():
    metric = AVAMeanAP(records(1))
    rows = {name: values[:0] for name, values in rows_of([[(0.9, 0.0), (0.0, 0.8)]]).items()}
    sample = load_sample(metric, rows, Dataset(metric.records), 0, 0.0)
    assert [one.dashed for one in sample.boxes] == [True, True]
    assert all(colour == YELLOW for one in sample.boxes for _, colour in one.labels)


@pytest.mark.parametrize("height", [64, 512])
def test_small_and_large_frames_are_scaled_to_one_size_with_their_boxes(height):
    metric = AVAMeanAP(records(1))
    rows = rows_of([[(0.9, 0.0), (0.7, 0.0)]])
    sample = load_sample(metric, rows, Dataset(metric.records, height=height), 0, 1.0)
    pictures = annotated(sample)
    width = round(HEIGHT * WIDTH / height)
    assert pictures.shape == (FRAMES, BAR + HEIGHT, max(width, LEAST_WIDTH), 3)
    middle = BAR + HEIGHT // 2
    row = pictures[0, middle].tolist()
    for (x1, _, x2, _), colour in ((LEFT, GREEN), (RIGHT, RED)):
        assert list(colour) in row[round(x1 * width) - 1 : round(x1 * width) + 2]
        assert list(colour) in row[round(x2 * width) - 2 : round(x2 * width) + 2]
    between = round(width * 0.5)
    assert (pictures[0, middle, between] == 40).all()
    assert list(GREEN) in pictures[0, BAR : BAR + HEIGHT // 4].reshape(-1, 3).tolist()  # text


def test_two_sheets_and_a_video(tmp_path):
    metric = AVAMeanAP(records(5))
    right, wrong = [(0.9, 0.0), (0.0, 0.9)], [(0.0, 0.9), (0.9, 0.0)]
    rows = rows_of([right, wrong, right, wrong, right])
    dataset = Dataset(metric.records, bad=(4,))
    paths = draw_boxes(metric, rows, dataset, tmp_path / "pictures", count=3)
    assert [path.name for path in paths] == ["best.png", "worst.png", "boxes.mp4"]
    sheets = [np.asarray(Image.open(path)).reshape(-1, 3) for path in paths[:2]]
    for sheet, own, other in zip(sheets, (GREEN, RED), (RED, GREEN), strict=True):
        many, few = ((sheet == colour).all(axis=1).sum() for colour in (own, other))
        assert many > 1000 > few  # the line that explains the colours has both
    with av.open(str(paths[2])) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    # Two that are right, as the third one cannot be read, and two that are not.
    assert frames[0].shape == (2 * (BAR + HEIGHT), 3 * 576, 3)
    assert len(frames) >= FRAMES


def test_without_ground_truth_the_surest_key_frames_show_names_and_scores(tmp_path):
    metric = AVAMeanAP(records(3, boxes=(), labels=()))
    rows = rows_of([[(0.9, 0.0), (0.1, 0.1)], [(0.0, 0.7), (0.1, 0.1)], [(0.0, 0.1), (0.1, 0.95)]])
    dataset = Dataset(metric.records)
    assert surest(metric, rows, 2) == [2, 0]
    sample = load_sample(metric, rows, dataset, 0, np.nan)
    assert sample.title == "v,0902"
    assert [(one.labels, one.dashed) for one in sample.boxes] == [
        ([("run 0.90", BLUE)], False),
        ([], False),
    ]
    paths = draw_boxes(metric, rows, dataset, tmp_path, count=2)
    assert [path.name for path in paths] == ["detections.png", "boxes.mp4"]
    sheet = np.asarray(Image.open(paths[0]))
    counts = [(sheet == colour).all(axis=-1).sum() for colour in (BLUE, GREEN, RED, YELLOW)]
    assert counts[0] > 1000
    assert counts[1:] == [0, 0, 0]  # nothing is said of what is right


def test_key_frames_of_all_videos_come_before_a_second_one_of_any():
    found = records(4)
    found.video = np.array([0, 0, 0, 1])
    found.videos = ("v", "w")
    metric = AVAMeanAP(found)
    rows = rows_of([[(score, 0.0), (0.0, 0.0)] for score in (0.9, 0.8, 0.7, 0.1)])
    assert surest(metric, rows, 3) == [0, 3, 1]


def test_proposals_are_no_true_boxes():
    """A dataset gives the proposals as boxes without an action where nothing is annotated."""
    metric = AVAMeanAP(records(1, boxes=(), labels=()))
    rows = rows_of([[(0.9, 0.0), (0.0, 0.8)]])

    class Proposals(Dataset):
        def __getitem__(self, row):
            item = super().__getitem__(row)
            item["gt_boxes"] = item["boxes"][1:]
            item["gt_labels"] = np.zeros((2, 3), np.float32)
            return item

    sample = load_sample(metric, rows, Proposals(metric.records), 0, np.nan)
    assert not any(one.dashed for one in sample.boxes)
    assert {colour for one in sample.boxes for _, colour in one.labels} == {BLUE}
