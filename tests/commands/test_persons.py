"""`vidrec persons`: a detector of torchvision on key frames, written as proposals."""

import os
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from vidrec.commands import persons
from vidrec.commands.persons import main
from vidrec.data.boxes import clock
from vidrec.data.boxes.clock import Clock
from vidrec.data.boxes.custom import read_boxes
from vidrec.data.boxes.person_proposals import read_proposals
from vidrec.data.video.writer import write_video
from vidrec.models.person_detector import PersonDetector, load_detector

NAME = "fasterrcnn_mobilenet_v3_large_320_fpn"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    from torchvision.models import get_model

    torch.manual_seed(0)
    net = get_model(NAME, weights=None, weights_backbone=None, num_classes=3)
    # Persons are likely everywhere, so that random weights find some.
    torch.nn.init.zeros_(net.roi_heads.box_predictor.cls_score.weight)
    net.roi_heads.box_predictor.cls_score.bias.data = torch.tensor([0.0, 2.0, 1.0])
    path = tmp_path_factory.mktemp("weights") / "detector.pth"
    torch.save(net.state_dict(), path)
    return str(path)


@pytest.fixture
def videos(tmp_path):
    """Two movies of four seconds; a white square moves to the right, 16 pixels a second."""
    (tmp_path / "videos" / "deep").mkdir(parents=True)
    frames = np.zeros((48, 64, 96, 3), np.uint8)
    for number, frame in enumerate(frames):
        left = 8 + 16 * number // 12
        frame[16:48, left : left + 16] = 255
    for name in ("a.mp4", "deep/b_000900_000904.mp4"):
        write_video(tmp_path / "videos" / name, frames, 12)
    return tmp_path / "videos"


class Bright:
    """Finds what is bright: one box a frame."""

    made_of = "bright 0.5"

    def __init__(self):
        self.num_frames = 0

    def __call__(self, frames):
        self.num_frames += len(frames)
        found = []
        for frame in frames:
            rows, columns = np.nonzero(frame[..., 0] > 127)
            height, width = frame.shape[:2]
            x1, x2 = columns.min() / width, (columns.max() + 1) / width
            y1, y2 = rows.min() / height, (rows.max() + 1) / height
            found.append(np.array([[x1, y1, x2, y2, 0.9]]))
        return found


class Stops(Bright):
    """Is interrupted after four frames."""

    def __call__(self, frames):
        if self.num_frames >= 4:
            raise KeyboardInterrupt
        return super().__call__(frames)


def test_boxes_are_those_of_the_second_that_the_key_names(videos, tmp_path):
    out = str(tmp_path / "p.npz")
    persons.find_persons(str(videos), out, Bright(), Clock(begin=None), 3, progress=False)
    found = read_proposals(out)
    # A name without a clock begins at AVA's second.
    for begin, name in ((900, "a"), (900, "deep/b_000900_000904")):
        for second in range(4):
            box = found[f"{name},{begin + second:04d}"][0]
            left = (8 + 16 * second) / 96
            np.testing.assert_allclose(box, [left, 0.25, left + 16 / 96, 0.75, 0.9], atol=0.02)
    assert len(found) == 8


def test_key_frames_may_be_numbers_of_frames(videos, tmp_path):
    out = str(tmp_path / "p.json")
    clock = Clock(every=20, frames=True)
    persons.find_persons(str(videos / "a.mp4"), out, Bright(), clock, 2, progress=False)
    found = read_proposals(out)
    assert list(found) == ["a,0000", "a,0020", "a,0040"]
    np.testing.assert_allclose(found["a,0040"][0, 0], (8 + 16 * 40 // 12) / 96, atol=0.02)


def test_key_frames_of_tenths_of_seconds_are_those_that_people_annotate(videos, tmp_path):
    """3 * 0.1 is not 0.3 in binary."""
    out = str(tmp_path / "p.json")
    clock = Clock(every=0.1)
    persons.find_persons(str(videos / "a.mp4"), out, Bright(), clock, 16, progress=False)
    tenths = [f"{n // 10}.{n % 10}" if n % 10 else f"{n // 10:04d}" for n in range(40)]
    assert list(read_proposals(out)) == [f"a,{text}" for text in tenths]
    rows = "".join(f"a,{n / 10},0.1,0.25,0.3,0.75,run\n" for n in range(40))
    (tmp_path / "a.csv").write_text("video,timestamp,x1,y1,x2,y2,action\n" + rows)
    (tmp_path / "classes.txt").write_text("run\n")
    records = read_boxes(str(tmp_path / "a.csv"), str(tmp_path / "classes.txt"), out)
    assert len(records) == 40
    assert records.num_whole_frames == 0
    assert (records.proposals.values[:, 3] == 0.75).all()


def test_sound_after_the_last_frame_has_no_key_frames(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(clock, "length_of", lambda path: 9.0)
    out = str(tmp_path / "p.json")
    found = persons.find_persons(str(videos / "a.mp4"), out, Bright(), Clock(), 4, progress=False)
    assert found == (4, 4)


class Blind(Bright):
    """Finds nobody."""

    def __call__(self, frames):
        return [np.zeros((0, 5), np.float32)] * len(frames)


def test_how_many_key_frames_have_persons_is_told(videos, weights, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("vidrec.models.person_detector.PersonDetector", lambda *options: Blind())
    main([str(videos / "a.mp4"), "--weights", weights, "--out", str(tmp_path / "p.json")])
    text = capsys.readouterr().out
    assert "persons in 0 of 4 key frames" in text
    assert "warning: no person was found: check --weights" in text


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        (Clock(), [10, 11, 12, 13]),
        (Clock(every=0.5, start=11.2, end=12.0), [11.5, 12]),
        (Clock(every=2.0), [10, 12]),
        (Clock(start=0, end=99), [10, 11, 12, 13]),
        (Clock(start=50), []),
    ],
)
def test_key_frames_are_whole_multiples_within_the_file(clock, expected):
    assert clock.moments(10, 4).tolist() == expected


def test_an_interrupted_run_goes_on_with_the_next_video(videos, tmp_path, capsys):
    out = str(tmp_path / "p.csv")
    with pytest.raises(KeyboardInterrupt):
        persons.find_persons(str(videos), out, Stops(), Clock(), 4, progress=False)
    second = Bright()
    assert persons.find_persons(str(videos), out, second, Clock(), 4, progress=False) == (8, 8)
    assert second.num_frames == 4
    assert not list(tmp_path.glob("*.parts"))


def test_what_another_detector_found_is_not_taken(videos, tmp_path):
    out = str(tmp_path / "p.csv")
    first, second = Stops(), Bright()
    first.made_of = "bright 0.4"
    with pytest.raises(KeyboardInterrupt):
        persons.find_persons(str(videos), out, first, Clock(), 4, progress=False)
    persons.find_persons(str(videos), out, second, Clock(), 4, progress=False)
    assert second.num_frames == 8


def test_an_unreadable_video_is_an_error_after_the_others(videos, tmp_path, capsys):
    shutil.copyfile(videos / "a.mp4", tmp_path / "whole.mp4")
    (videos / "a.mp4").write_text("nothing")
    out = str(tmp_path / "p.pkl")
    with pytest.raises(ValueError, match=r"p\.pkl lacks 1 of 2 videos, .* above: .*a\.mp4; repair"):
        persons.find_persons(str(videos), out, Bright(), Clock(), 4, progress=False)
    assert "skipped a video: " in capsys.readouterr().out
    assert len(read_proposals(out)) == 4
    # Repaired: only this one is left to do.
    shutil.copyfile(tmp_path / "whole.mp4", videos / "a.mp4")
    second = Bright()
    assert persons.find_persons(str(videos), out, second, Clock(), 4, progress=False) == (8, 8)
    assert second.num_frames == 4


def test_a_video_that_changed_is_done_again(videos, tmp_path):
    out = str(tmp_path / "p.csv")
    with pytest.raises(KeyboardInterrupt):
        persons.find_persons(str(videos), out, Stops(), Clock(), 4, progress=False)
    os.utime(videos / "a.mp4")
    second = Bright()
    persons.find_persons(str(videos), out, second, Clock(), 4, progress=False)
    assert second.num_frames == 8


def test_no_other_file_is_replaced_and_no_video_stands_for_two(videos, tmp_path):
    out = tmp_path / "p.csv"
    out.write_text("mine")
    with pytest.raises(FileExistsError, match=rf"{out} exists, and vidrec did not write it"):
        persons.find_persons(str(videos), str(out), Bright(), Clock(), 4, progress=False)
    assert out.read_text() == "mine"
    out.unlink()
    (videos / "a.avi").touch()
    with pytest.raises(ValueError, match=r"a\.avi and .*a\.mp4 would both be written as 'a'"):
        persons.find_persons(str(videos), str(out), Bright(), Clock(), 4, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["videos"]


def test_other_weights_under_the_same_path_are_another_detector(tmp_path, monkeypatch):
    monkeypatch.setattr("vidrec.models.person_detector.load_detector", lambda *_: nn.Identity())
    path = tmp_path / "detector.pth"
    path.write_bytes(b"weights")
    first = PersonDetector(NAME, str(path)).made_of
    (tmp_path / "copy.pth").write_bytes(b"weights")
    assert PersonDetector(NAME, str(tmp_path / "copy.pth")).made_of == first
    path.write_bytes(b"trained")
    assert PersonDetector(NAME, str(path)).made_of != first


def test_the_detector_gives_boxes_of_persons_alone(weights):
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3)).astype(np.uint8)
    persons_found = PersonDetector(NAME, weights, 3, 1, 0.0)(frames)
    for rows in persons_found:
        assert len(rows)
        assert rows.shape[1] == 5
        assert rows[:, :4].min() >= 0
        assert rows[:, :4].max() <= 1
    # torchvision itself, in pixels.
    net = load_detector(NAME, weights, 3).eval()
    image = torch.from_numpy(frames[0]).permute(2, 0, 1) / 255
    with torch.no_grad():
        (raw,) = net([image])
    own = raw["boxes"][raw["labels"] == 1] / torch.tensor([96, 64, 96, 64])
    np.testing.assert_allclose(persons_found[0][:, :4], own.numpy(), atol=1e-4)


def test_the_command_writes_the_file(videos, weights, tmp_path, capsys):
    out = tmp_path / "p.csv"
    options = f"--detector {NAME} --num-classes 3 --every 2 --threshold 0 --device cpu".split()
    main([str(videos / "a.mp4"), "--weights", weights, "--out", str(out), *options])
    assert set(read_proposals(str(out))) == {"a,0000", "a,0002"}
    assert "persons in 2 of 2 key frames" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--detector", "yolo"], r"error: torchvision has no detector 'yolo'"),
        (
            ["--num-classes", "7"],
            r"error: .*detector\.pth does not fit .* with 7 classes: "
            r"\d+ tensors have another shape, such as .*cls_score.* set --num-classes of [^\n]*$",
        ),
        (["--detector", "fasterrcnn_resnet50_fpn"], r"error: .* of another architecture: [^\n]*$"),
        (["--weights", "gone.pth"], r"error: the weights gone\.pth do not exist"),
        (["--every", "0"], r"error: every=0.0 is not positive"),
        (["--every", "0.0004"], r"error: every=0.0004 s: times less than 0.0005 s apart"),
        (["--every", "1.5", "--frames"], r"error: every=1.5 is not a whole number of frames"),
        (["--out", "p.txt"], r"error: the proposal file .*p\.txt does not end with"),
    ],
)
def test_bad_requests_are_told_in_a_sentence(videos, weights, options, message):
    base = [str(videos), "--weights", weights, "--detector", NAME, "--num-classes", "3"]
    with pytest.raises(SystemExit, match=message):
        main([*base, "--device", "cpu", "--threshold", "0", *options])
