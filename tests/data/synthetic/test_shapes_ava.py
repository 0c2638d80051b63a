"""The embedded example of detection: AVA's formats, and only movement inside of a box tells."""

import numpy as np
import pytest

from vidrec.data.boxes.annotations import read_ava
from vidrec.data.boxes.key_frames import KeyFrameSampling, Movies
from vidrec.data.boxes.person_proposals import read_proposals
from vidrec.data.synthetic.shapes_ava import (
    ACTIONS,
    FRAME_RATE,
    HEIGHT,
    MOVEMENTS,
    PERIOD,
    WIDTH,
    draw_movie,
    write_shapes_ava,
)
from vidrec.data.video.geometry import CropPlan


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes_ava"
    write_shapes_ava(str(folder), num_train=3, num_val=2)
    return folder


def records(folder, split, **options):
    return read_ava(
        str(folder / f"{split}.csv"),
        str(folder / "actions.pbtxt"),
        str(folder / "excluded.csv"),
        str(folder / f"{split}_persons.pkl"),
        num_classes=len(ACTIONS) + 1,
        **options,
    )


def test_the_files_are_those_of_ava(folder):
    train = records(folder, "train")
    assert len(train) == 3 * 4 - 1  # one key frame is excluded
    assert train.classes == dict(enumerate(ACTIONS, start=1))
    for frame in train:
        assert len(frame.proposals) == len(frame.boxes)  # the false one is unsure
        movements = [columns[0] for columns in frame.labels]
        assert len(set(movements)) == len(movements)  # the boxes of a frame differ
    sure = read_proposals(str(folder / "val_persons.pkl"))
    assert all(len(boxes) in (3, 4) for boxes in sure.values())


def test_writing_again_changes_nothing(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    write_shapes_ava(str(folder), num_train=3, num_val=2)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_movement_in_the_box_is_the_label():
    """Oracle: where the shape is, from the pixels that differ from a frame without it."""
    seen = set()
    for seed in range(6):
        frames, boxes, actions = draw_movie(np.random.default_rng(seed), 2)
        background = np.median(frames.astype(int), axis=0)
        for number in range(2):
            centre = FRAME_RATE * (PERIOD * number + PERIOD // 2)
            for box, own in zip(boxes[number], actions[number], strict=True):
                left, right = box[0] * WIDTH, box[2] * WIDTH
                columns = slice(max(int(left) - 8, 0), int(right) + 8)
                places = []
                for frame in frames[centre - 8 : centre + 8]:
                    differs = np.abs(frame.astype(int) - background)[:, columns].sum(axis=-1) > 60
                    rows, across = np.nonzero(differs)
                    places.append((across.mean(), rows.mean()) if len(rows) else (np.nan, np.nan))
                (dx, _), name = np.nanstd(places, axis=0), MOVEMENTS[own[0] - 1]
                way = np.nanmean(np.diff([y for _, y in places]))
                if name == "rise":
                    assert way < -0.5
                elif name == "fall":
                    assert way > 0.5
                elif name == "still":
                    assert abs(way) < 0.5
                elif name == "sway":
                    assert dx > 2
                seen.add(name)
    assert seen >= {"rise", "fall", "sway"}


def test_the_key_frame_alone_tells_nothing_of_the_movement():
    """Every movement passes through its home at the key frame: boxes are there, centred."""
    for seed in range(4):
        frames, boxes, _ = draw_movie(np.random.default_rng(seed), 1)
        frame = frames[FRAME_RATE * PERIOD // 2].astype(int)
        background = np.median(frames.astype(int), axis=0)
        differs = np.abs(frame - background).sum(axis=-1) > 60
        inside = np.zeros_like(differs)
        for box in boxes[0]:
            x1, y1, x2, y2 = np.rint(box * [WIDTH, HEIGHT, WIDTH, HEIGHT]).astype(int)
            inside[y1 - 1 : y2 + 1, x1 - 1 : x2 + 1] = True
        assert differs.any()
        assert (differs & ~inside).mean() < 0.005
        assert (differs & inside).sum() > 50 * len(boxes[0])


def test_movies_are_read_at_the_clock_of_the_key_frames(folder):
    frame = records(folder, "val")[1]
    moments = KeyFrameSampling(4, 8)(frame.timestamp, np.random.default_rng(0))
    path = str(folder / "videos" / f"{frame.video}.mp4")
    source, indices = Movies(begin=900).open(path, frame, moments)
    clip = source.read(indices, CropPlan((0, 0, WIDTH, HEIGHT), (HEIGHT, WIDTH)))
    drawn, _, _ = draw_movie(np.random.default_rng([*b"shapes_ava val", 0]), 4)
    numbers = np.floor((moments - 900) * FRAME_RATE + 1e-6).astype(int)
    assert np.abs(clip.astype(int) - drawn[numbers]).mean() < 6
