"""Clips with boxes: they lie on what they were drawn around, whatever is done to the frames."""

import numpy as np
import pytest
import torch

from vidrec.data.boxes.collate import collate_boxes
from vidrec.data.boxes.dataset import BoxDataset
from vidrec.data.boxes.records import BoxRecords
from vidrec.data.ragged import Ragged
from vidrec.data.transforms.geometric import (
    CenterCrop,
    Flip,
    RandomCrop,
    RandomRescale,
    Resize,
    ThreeCrop,
)
from vidrec.data.video.decoder import Decoder, VideoError

# A bright rectangle on black, in frames of 120 x 80, and its box.
BOX = np.array([30, 16, 66, 56]) / [120, 80, 120, 80]


class Picture(Decoder):
    name, num_frames, fps, width, height = "picture", 100, None, 120, 80

    def _frames(self, wanted):
        frame = np.zeros((80, 120, 3), np.uint8)
        frame[16:56, 30:66] = 255
        return ((index, frame) for index in wanted)

    def _cutter(self, plan):
        from vidrec.data.video.resample import cut, place

        return lambda frame, out: place(cut(frame, plan.box, plan.size, True), plan, out)


class Reader:
    broken = ()

    def check(self, path, record):
        self.open(path, record, ())

    def open(self, path, record, moments):
        if record.timestamp in self.broken:
            raise VideoError(f"{path}: broken")
        return Picture(), [int(moment) for moment in moments]


def records(frames, num_classes=4):
    """frames: (boxes, labels, proposals) of each."""
    boxes, labels, proposals = zip(*frames, strict=True)
    flat = [columns for own in labels for columns in own]
    ends = lambda parts: np.cumsum([0, *map(len, parts)])  # noqa: E731
    return BoxRecords(
        ("v",),
        np.zeros(len(frames), np.int64),
        np.arange(len(frames), dtype=np.float64),
        Ragged(np.array([b for own in boxes for b in own], np.float32).reshape(-1, 4), ends(boxes)),
        Ragged(np.array([c for columns in flat for c in columns], np.int64), ends(flat)),
        Ragged(
            np.array([p for own in proposals for p in own], np.float32).reshape(-1, 4),
            ends(proposals),
        ),
        Ragged(np.ones(sum(map(len, proposals)), np.float32), ends(proposals)),
        num_classes,
        {i: str(i) for i in range(1, num_classes)},
        {i: i for i in range(1, num_classes)},
    )


def sampling(timestamp, rng):
    return timestamp + rng.integers(0, 50, size=2)


@pytest.fixture
def dataset(tmp_path):
    (tmp_path / "v.mp4").touch()

    def make(*steps, frames=(([BOX], [(1, 3)], [BOX]),), reader=None, **options):
        named = {str(i): step for i, step in enumerate(steps)}
        options = {"prefix": str(tmp_path), "seed": 7} | options
        return BoxDataset(records(frames), reader or Reader(), sampling, named, **options)

    return make


def bright(picture):
    """The box around what is bright in (h, w, 3)."""
    rows, columns = np.nonzero(picture[..., 0] > 127)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@pytest.mark.parametrize(
    "steps",
    [
        (Resize([-1, 160]),),
        (RandomRescale([100, 160]), RandomCrop(96), Flip(0.5)),
        (Resize([240, 100], keep_ratio=False), Flip(1.0), Flip(1.0, "vertical")),
        (Resize([-1, 100]), CenterCrop(90), Flip(0.5)),
        (RandomCrop(64), Resize([-1, 128]), Flip(0.5)),
    ],
)
def test_boxes_follow_the_frames(dataset, steps):
    data = dataset(*steps)
    for epoch in range(12):
        sample = data[epoch, 0]
        picture = sample["video"][0, 0, 0]
        assert sample["size"].tolist() == [list(picture.shape[:2])]
        if not len(sample["gt_boxes"]):
            assert picture.max() < 200
            continue
        np.testing.assert_allclose(sample["gt_boxes"][0], bright(picture), atol=1.1)
        np.testing.assert_array_equal(sample["boxes"], sample["gt_boxes"])
        np.testing.assert_allclose(sample["proposals"], [BOX], rtol=1e-6)


def test_three_crops_show_a_box_where_it_is(dataset):
    sample = dataset(Resize([-1, 80]), ThreeCrop(80))[0]
    assert sample["video"].shape == (1, 3, 2, 80, 80, 3)
    # Left, right, middle: the rectangle lies from 30 to 66 of 120.
    assert sample["box_view"].tolist() == [0, 1, 2]
    assert sample["box_proposal"].tolist() == [0, 0, 0]
    for box, view in zip(sample["boxes"], sample["video"][0], strict=True):
        np.testing.assert_allclose(box, bright(view[0]), atol=1.1)


def test_boxes_that_are_cut_off_are_dropped_with_their_labels(dataset):
    left, right = [0.0, 0.0, 0.1, 1.0], [0.9, 0.0, 1.0, 1.0]
    frames = (([left, BOX, right], [(1,), (2,), (3,)], [right, BOX]),)
    sample = dataset(CenterCrop(60), frames=frames)[0]
    assert sample["gt_labels"].tolist() == [[0, 0, 1, 0]]
    assert sample["box_proposal"].tolist() == [1]
    assert len(sample["proposals"]) == 2


def test_persons_without_an_action_and_key_frames_without_persons_are_examples(dataset):
    """In a key frame without persons all proposals are persons who do nothing."""
    right = [0.9, 0.0, 1.0, 1.0]
    frames = (([BOX, right], [(), (2,)], [BOX]), ([], [], [BOX, right]))
    data = dataset(Resize([-1, 80]), frames=frames)
    idle, empty = data[0], data[1]
    assert idle["gt_labels"].tolist() == [[0, 0, 0, 0], [0, 0, 1, 0]]
    np.testing.assert_allclose(empty["gt_boxes"], empty["boxes"])
    assert empty["gt_labels"].tolist() == [[0, 0, 0, 0]] * 2


def test_a_clip_without_any_box_is_a_sample(dataset):
    frames = (([], [], []), ([BOX], [(1,)], [BOX]))
    data = dataset(CenterCrop(80), frames=frames)
    batch = collate_boxes([data[0], data[1]])
    assert batch["gt_sample"].tolist() == [1]
    assert batch["proposal_sample"].tolist() == [1]
    assert batch["video"].shape == (2, 1, 2, 80, 80, 3)
    assert batch["gt_labels"].shape == (1, 4)


def test_rows_of_a_batch_count_through(dataset):
    frames = (([BOX], [(1,)], [BOX, [0, 0, 1, 1]]), ([BOX, BOX], [(2,), (3,)], [BOX]))
    data = dataset(Resize([-1, 80]), ThreeCrop(80), frames=frames)
    batch = collate_boxes([data[0], data[1], data[0]])
    views = batch["box_view"]
    assert (views // 3).tolist() == batch["proposal_sample"][batch["box_proposal"]].tolist()
    assert batch["gt_sample"].tolist() == [0, 1, 1, 2]
    assert batch["index"].tolist() == [0, 1, 0]
    whole = batch["box_proposal"] == 1
    assert torch.equal(batch["boxes"][whole][0], torch.tensor([0.0, 0.0, 80.0, 80.0]))


def test_clips_of_several_sizes_are_padded_at_the_end(dataset):
    small, large = dataset(Resize([-1, 40]))[0], dataset(Resize([-1, 80]))[0]
    batch = collate_boxes([small, large])
    assert batch["size"].tolist() == [[40, 60], [80, 120]]
    np.testing.assert_array_equal(batch["video"][0, :, :, :40, :60], small["video"][0])
    assert batch["video"][0, :, :, 40:].max() == 0
    assert batch["video"][0, :, :, :, 60:].max() == 0


def test_a_sample_is_a_function_of_seed_epoch_and_index(dataset):
    steps = (RandomRescale([80, 160]), RandomCrop(72), Flip(0.5))
    a, b = dataset(*steps), dataset(*steps)
    b[3, 0]  # what was read before does not matter
    for key in ("video", "boxes", "gt_boxes"):
        np.testing.assert_array_equal(a[2, 0][key], b[2, 0][key])
    assert not np.array_equal(a[2, 0]["video"], a[5, 0]["video"])


def test_a_mirrored_box_can_get_another_label(dataset):
    """Left and right hand: the label follows the mirror."""
    swapped = dataset(Flip(1.0, flip_label_map={1: 2, 2: 1}))[0]
    assert swapped["gt_labels"].tolist() == [[0, 0, 1, 1]]


def test_unreadable_videos(dataset):
    class Broken(Reader):
        broken = (0.0,)

    frames = (([BOX], [(1,)], [BOX]),) * 3
    with pytest.raises(VideoError, match="broken"):
        dataset(frames=frames, reader=Broken())[0]
    skipped = dataset(frames=frames, reader=Broken(), on_bad_video="skip")[0]
    assert list(skipped) == ["bad_videos"]
    other = dataset(frames=frames, reader=Broken(), on_bad_video="replace")[0]
    assert other["index"] != 0
    assert other["bad_videos"][0][1] == "broken"


def test_missing_videos_are_told_at_the_start(tmp_path):
    with pytest.raises(VideoError, match=r"1 of 1 videos are missing under .*prefix"):
        BoxDataset(records((([BOX], [(1,)], [BOX]),)), Reader(), sampling, {}, str(tmp_path))


def test_features_of_a_bank_travel_with_the_sample(dataset):
    class Bank:
        def check(self, videos):
            pass

        def features(self, video, timestamp, rng):
            return np.full((6, 2), timestamp, np.float32)

    frames = (([BOX], [(1,)], [BOX]),) * 2
    data = dataset(frames=frames, bank=Bank())
    assert collate_boxes([data[0], data[1]])["bank"].tolist() == [[[0.0] * 2] * 6, [[1.0] * 2] * 6]
