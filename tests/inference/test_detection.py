"""Actions of persons in videos: the same as in an evaluation of the same key frames and boxes."""

import csv
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

import vidrec
from vidrec import build
from vidrec.api import describe_model
from vidrec.commands.evaluate import evaluate_run
from vidrec.data.boxes.person_proposals import read_proposals, write_proposals
from vidrec.data.synthetic.shapes_ava import write_shapes_ava
from vidrec.data.video.decoder import VideoError
from vidrec.data.video.writer import write_video
from vidrec.inference import persons
from vidrec.inference.options import Options

TINY = [
    "model=slowonly_ava_tiny", "data=shapes_ava", "data.prepare=null", "runtime.num_workers=0",
    "runtime.device=cpu", "runtime.progress=false", "model.net.backbone.base_channels=8",
    "model.net.roi_head.bbox_head.in_channels=32", "data.train.records.person_det_score_thr=0.3",
    "schedule.test_batch_size=1", "data.metric.score_threshold=0.0",
]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detection") / "data"
    write_shapes_ava(str(folder), num_train=1, num_val=2, key_frames=3)
    return folder


@pytest.fixture(scope="module")
def conf(compose, root):
    return compose(*TINY, f"data.root={root}", config_name="evaluate")


@pytest.fixture(scope="module")
def checkpoint(conf, root):
    """Of a random network; its class names are those of the data."""
    torch.manual_seed(0)
    net = build.build_net(conf.model)
    torch.nn.init.normal_(net.roi_head.bbox_head.fc_cls.weight, std=0.1)
    about = asdict(describe_model(conf, ["0", "still", "rise", "fall", "sway", "flicker"]))
    path = root.parent / "net.pt"
    torch.save({"net": net.state_dict(), "about": about}, path)
    return path


@pytest.fixture(scope="module")
def predict(checkpoint):
    """`predict(video, **options)` of the same network, one key frame at a time."""
    net = vidrec.load_model(checkpoint)
    return lambda video, **options: net.predict(video, **{"batch_size": 1, **options})


def rows_of(prediction, name, begin):
    """As in a csv of AVA: key frame, box, id and score."""
    return {
        (name, frame.time + begin, *np.round(person.box, 4).tolist(), action.label): action.score
        for frame in prediction.key_frames
        for person in frame.persons
        for action in person.actions
    }


@pytest.mark.parametrize("views", ["whole", "three_crop"])
def test_scores_are_those_of_an_evaluation(compose, conf, checkpoint, root, tmp_path, views):
    """Bit for bit: key frames, clips, boxes and their views, on the clock of the annotations."""
    if views != "whole":
        views = [f"data/views={views}", "model.clip.test_size=96"]
        conf = compose(*TINY, f"data.root={root}", *views, config_name="evaluate")
    evaluate_run(replace(conf, checkpoint=str(checkpoint), dump=str(tmp_path / "out.csv")))
    expected = {}
    for video, time, *box, action, score in csv.reader((tmp_path / "out.csv").open()):
        corners = np.round(np.array(box, np.float64), 4).tolist()
        expected[video, float(time), *corners, int(action)] = np.float32(score)
    about = asdict(describe_model(conf, ["0", "still", "rise", "fall", "sway", "flicker"]))
    torch.save({"net": torch.load(checkpoint)["net"], "about": about}, tmp_path / "net.pt")
    net = vidrec.load_model(tmp_path / "net.pt")
    found = {}
    for name in ("val_0000", "val_0001"):
        prediction = net.predict(
            root / "videos" / f"{name}.mp4", proposals=str(root / "val_persons.pkl"),
            threshold=0.3, min_score=0.0, batch_size=1,
        )  # fmt: skip
        assert prediction.duration == pytest.approx(6, abs=0.1)
        found |= rows_of(prediction, name, 900)
    excluded = {(name, float(time)) for name, time in csv.reader((root / "excluded.csv").open())}
    found = {row: score for row, score in found.items() if row[:2] not in excluded}
    assert len(expected) >= 25
    assert found.keys() == expected.keys()
    assert all(np.float32(found[row]) == score for row, score in expected.items())


def test_actions_are_ids_of_the_annotations_and_the_best_are_named(predict, root):
    video, given = root / "videos" / "val_0000.mp4", {"proposals": str(root / "val_persons.pkl")}
    everything = predict(video, min_score=0.0, topk=9, threshold=0, **given)
    assert [frame.time for frame in everything.key_frames] == [1, 3, 5]
    for person in (p for frame in everything.key_frames for p in frame.persons):
        assert sorted((a.label, a.name) for a in person.actions) == [
            (1, "still"), (2, "rise"), (3, "fall"), (4, "sway"), (5, "flicker"),
        ]  # fmt: skip
    few = predict(video, min_score=0.5, topk=2, threshold=0, **given)
    for frame, other in zip(everything.key_frames, few.key_frames, strict=True):
        for person, same in zip(frame.persons, other.persons, strict=True):
            assert same.actions == [a for a in person.actions if a.score >= 0.5][:2]
            assert same.box == person.box


def test_the_size_of_a_batch_changes_nothing_but_rounding(predict, root):
    video, given = root / "videos" / "val_0001.mp4", {"proposals": str(root / "val_persons.pkl")}
    one, many = (predict(video, batch_size=n, min_score=0.0, **given) for n in (1, 8))
    left, right = (
        [a.score for f in p.key_frames for q in f.persons for a in sorted(q.actions, key=str)]
        for p in (one, many)
    )
    assert len(left) == len(right) > 0
    np.testing.assert_allclose(sorted(left), sorted(right), atol=1e-5)


def test_boxes_on_the_clock_of_the_file_or_of_the_annotations(predict, root, tmp_path):
    video = root / "videos" / "val_0000.mp4"
    known = read_proposals(str(root / "val_persons.pkl"))
    own = {f"val_0000,{second:04d}": known[f"val_0000,{900 + second:04d}"] for second in (1, 3, 5)}
    write_proposals(str(tmp_path / "own.npz"), own)
    found = predict(video, proposals=str(tmp_path / "own.npz"))
    assert found.key_frames == predict(video, proposals=str(root / "val_persons.pkl")).key_frames
    for second in (7, 907, 2000):
        file = str(tmp_path / f"{second}.npz")
        write_proposals(file, {f"val_0000,{second:04d}": own["val_0000,0001"]})
        with pytest.raises(VideoError, match=r"it lasts 6\.00 s, but the boxes .* another clock"):
            predict(video, proposals=file)
    with pytest.raises(VideoError, match="has no key frame of it, whose name would be train_0000"):
        predict(root / "videos" / "train_0000.mp4", proposals=str(tmp_path / "own.npz"))


class Bright:
    """Finds what is bright: one box a frame."""

    def __init__(self, name, weights, threshold, device):
        self.seen = []

    def __call__(self, frames):
        found = []
        for frame in frames:
            rows, columns = np.nonzero(frame[..., 0] > 127)
            height, width = frame.shape[:2]
            self.seen.append(columns.min(initial=width) if len(columns) else -1)
            box = [0, 0, 0, 0, 0.9]
            if len(columns):
                box[:4] = [columns.min() / width, rows.min() / height,
                           (columns.max() + 1) / width, (rows.max() + 1) / height]  # fmt: skip
            found.append(np.array([box] if len(columns) else [], np.float32).reshape(-1, 5))
        return found


@pytest.fixture
def square(tmp_path):
    """Four seconds at 12 frames a second: a square moves 16 pixels a second, after 2 s of black."""
    frames = np.zeros((48, 64, 96, 3), np.uint8)
    for number, frame in enumerate(frames[24:], start=24):
        left = 8 + 16 * number // 12
        frame[16:48, left : left + 16] = 255
    write_video(tmp_path / "square.mp4", frames, 12)
    return tmp_path / "square.mp4"


def test_persons_are_those_of_the_moment_at_their_key_frame(predict, square, monkeypatch):
    monkeypatch.setattr(persons, "PersonDetector", Bright)
    found = predict(square, detector_weights="x", every=0.5, batch_size=3)
    assert [frame.time for frame in found.key_frames] == [n / 2 for n in range(8)]
    assert [len(frame.persons) for frame in found.key_frames] == [0] * 4 + [1] * 4
    for frame in found.key_frames[4:]:
        (person,) = frame.persons
        left = (8 + 16 * frame.time) / 96
        np.testing.assert_allclose(person.box, [left, 0.25, left + 1 / 6, 0.75], atol=0.03)
        assert person.score == pytest.approx(0.9)
    default = predict(square, detector_weights="x")
    assert [frame.time for frame in default.key_frames] == [0, 1, 2, 3]
    assert default.key_frames[3].persons[0].box == found.key_frames[6].persons[0].box
    json.loads(default.to_json())


def test_a_video_without_persons_is_a_result(predict, square, monkeypatch, caplog):
    monkeypatch.setattr(persons, "PersonDetector", Bright)
    frames = np.zeros((24, 64, 96, 3), np.uint8)
    write_video(square, frames, 12)
    found = predict(square, detector_weights="x")
    assert [frame.persons for frame in found.key_frames] == [[], []]
    assert "0 in 2 key frames" in found.protocol
    assert "no person in 2 key frames" in caplog.text


def test_what_is_missing_is_said(compose, predict, square, tmp_path):
    with pytest.raises(ValueError, match=r"pass --detector-weights FILE.*or --proposals FILE"):
        predict(square)
    with pytest.raises(ValueError, match="every=-1"):
        predict(square, every=-1.0, detector_weights="x")
    with pytest.raises(ValueError, match=r"times less than 0\.0005 s apart are one key frame"):
        predict(square, every=0.0001, detector_weights="x")
    (tmp_path / "names.txt").write_text("a\nb\n")
    with pytest.raises(ValueError, match="has 2 names up to number 2, but the network tells 5"):
        predict(square, names=str(tmp_path / "names.txt"))
    with pytest.raises(VideoError):
        persons.DetectedPersons.moments(type("", (), {"clock": persons.Clock()})(), str(tmp_path))
    conf = compose("model=slowonly_ava_lfb_max", "data=shapes_ava", config_name="train")
    net = build.build_net(conf.model)
    network = vidrec.inference.network.Network(net, describe_model(conf), "lfb.pt")
    with pytest.raises(ValueError, match=r"lfb\.pt needs a bank of long-term features"):
        vidrec.inference.detection.DetectionPredictor(network, Options())


def test_names_of_a_file_are_those_of_the_actions(predict, root, tmp_path):
    video = root / "videos" / "val_0000.mp4"
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\ne\n")
    (tmp_path / "some.pbtxt").write_text('item { name: "up" id: 2 }')
    given = {"proposals": str(root / "val_persons.pkl"), "min_score": 0.0}
    for file, name in (("names.txt", "b"), ("some.pbtxt", "up")):
        found = predict(video, names=str(tmp_path / file), **given)
        labels = {a.label: a.name for a in found.key_frames[0].persons[0].actions}
        assert labels[2] == name


def test_clips_of_a_clock_of_frames_are_counted_in_frames(conf, checkpoint, root, tmp_path):
    """The same movies as frames at their rate of 15: numbers, not seconds."""
    content = torch.load(checkpoint)
    reading = content["about"]["preprocessing"]
    rate = {"fps": 15.0}
    seconds = reading["sampling"] | rate
    numbers = reading["sampling"] | {"fps": 1.0}
    video = root / "videos" / "val_0001.mp4"
    results = []
    for sampling in (seconds, numbers):
        about = content["about"] | {"preprocessing": reading | {"sampling": sampling}}
        torch.save({"net": content["net"], "about": about}, tmp_path / "net.pt")
        net = vidrec.load_model(tmp_path / "net.pt")
        results.append(
            net.predict(video, proposals=str(root / "val_persons.pkl"), min_score=0.0).key_frames
        )
    assert results[0] == results[1]
