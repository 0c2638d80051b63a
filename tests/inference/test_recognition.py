"""Oracles: the rows of an evaluation, and frames that are chosen and scored by hand."""

import functools
import re
from dataclasses import replace

import av
import numpy as np
import pytest
import torch

import vidrec
from vidrec import build
from vidrec.data.transforms.pipeline import Pipeline
from vidrec.data.video import stream
from vidrec.data.video.decoder import VideoError
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.pyav import VideoReader
from vidrec.data.video.writer import write_video
from vidrec.engine import distributed
from vidrec.engine.evaluate import evaluate
from vidrec.inference.network import Network
from vidrec.inference.options import Options
from vidrec.inference.recognition import RecognitionPredictor
from vidrec.inference.trained import TrainedModel
from vidrec.weights.run_directory import overrides_of_run

SMALL = ["model.net.backbone.num_stages=1", "model.net.cls_head.in_channels=64"]
TSN = ["data=shapes", "model=tsn_tiny", *SMALL, "model.clip.size=32", "model.clip.short_side=36"]
THREE_CROPS = [*TSN, "data/views=three_crop", "model.clip.test_size=36"]
CENTRE = [*TSN, "data/views=center_crop", "model.clip.test_size=36"]
CLIPS = [
    "data=shapes",
    "model=i3d_tiny", "model.net.backbone.num_stages=1", "model.net.backbone.base_channels=8",
    "model.net.backbone.inflate=[1]", "model.net.cls_head.in_channels=8", "model.clip.size=32",
    "model.clip.short_side=36", "model.clip.test_size=36",
]  # fmt: skip
RATE = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Videos of several sizes and lengths, one without colours, and the list of them."""
    root = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(0)
    shapes = {"a": (47, 48, 64), "b": (1, 64, 48), "c": (23, 52, 52), "d": (30, 40, 72)}
    for name, (length, height, width) in shapes.items():
        coarse = rng.integers(0, 256, (length, height // 4, width // 4, 3), dtype=np.uint8)
        frames = coarse.repeat(4, axis=1).repeat(4, axis=2)
        write_video(root / f"{name}.mp4", frames, RATE)
    with av.open(str(root / "grey.mp4"), "w") as file:
        grey = file.add_stream("libx264", RATE)
        grey.width, grey.height, grey.pix_fmt = 64, 48, "gray"
        for picture in rng.integers(0, 256, (12, 48, 64), dtype=np.uint8):
            file.mux(grey.encode(av.VideoFrame.from_ndarray(picture, "gray")))
        file.mux(grey.encode())
    names = [*shapes, "grey"]
    (root / "val.txt").write_text("".join(f"{n}.mp4 {i}\n" for i, n in enumerate(names)))
    return root


@pytest.fixture(scope="module")
def trained(folder):
    """`trained(overrides)`: a configuration, and a network with random weights as if of a run."""

    @functools.cache
    def make(*overrides):
        data = [f"data.root={folder}", "data.prepare=null", "data.class_names=null"]
        conf = vidrec.compose(*overrides, *data, "runtime.device=cpu", "runtime.num_workers=0")
        torch.manual_seed(0)
        net = TrainedModel(vidrec.build_model(conf), vidrec.api.describe_model(conf), "random.pt")
        return conf, net.eval()

    return lambda overrides: make(*overrides)


def central_plan(net):
    """How the videos `a` (64x48) are cut by a test with one crop."""
    steps = build.build_reading(net.description)["steps"]
    return Pipeline(steps).plan(64, 48, np.random.default_rng(0))


def scores_of(moment):
    return [c.score for c in sorted(moment.topk, key=lambda c: c.label)]


def rows_of_evaluation(net, conf, batch_size):
    """Paths and scores, by the code of `vidrec evaluate`."""
    dist = distributed.start("cpu")
    dataset = build.build_dataset(conf.data, "test")
    loader = build.evaluation_loader(dataset, batch_size, conf.runtime, dist)
    _, rows = evaluate(net, build.build_metric(conf.data), loader, conf.runtime, dist)
    return {dataset.path(int(i)): s for i, s in zip(rows["index"], rows["scores"], strict=True)}


@pytest.mark.parametrize("overrides", [TSN, THREE_CROPS, CLIPS], ids=["ten", "three", "clips"])
def test_the_scores_are_those_of_the_evaluation_bit_for_bit(trained, overrides):
    conf, net = trained(overrides)
    expected = rows_of_evaluation(net.net, conf, batch_size=1)
    assert len(expected) == 5
    for path, scores in expected.items():
        found = net.predict(path)
        assert found.scores.tobytes() == scores.tobytes()
        assert [c.label for c in found.topk] == np.argsort(-scores, kind="stable")[:5].tolist()
    for path, scores in rows_of_evaluation(net.net, conf, batch_size=4).items():
        np.testing.assert_allclose(scores, expected[path], rtol=1e-5)


@pytest.mark.slow
def test_a_run_says_of_every_validation_video_what_its_evaluation_says(tiny_run, monkeypatch):
    monkeypatch.chdir(tiny_run.parent)
    overrides, _ = overrides_of_run(tiny_run, [])
    conf = vidrec.compose(*overrides)
    net = vidrec.load_model(tiny_run)
    expected = rows_of_evaluation(net.net, conf, batch_size=1)
    assert len(expected) == 8
    for path, scores in expected.items():
        found = net.predict(path)
        assert found.scores.tobytes() == scores.tobytes()
        assert found.label == net.description.class_names[int(scores.argmax())]


def test_the_length_and_the_views_are_told(trained, folder):
    _, net = trained(CLIPS)
    seen = "8x2 frames, 32 px, short side 36, prob averaged"
    found = net.predict(folder / "a.mp4")
    assert found.duration == pytest.approx(4.7)
    assert found.protocol == f"2 clips x 1 crop, {seen}"
    found = net.predict(folder / "a.mp4", every=1)
    assert found.duration == pytest.approx(4.7)
    assert found.protocol == f"parts of 1 s, 1 clip x 1 crop each, {seen}"
    _, net = trained(TSN)
    found = net.predict(folder / "a.mp4", every=1)
    assert "1 clip x 1 crop each, 5 frames, 32 px" in found.protocol


@torch.no_grad()
def test_parts_are_scored_as_if_each_were_a_video_of_its_own(trained, folder):
    """TSN with the five frames of its test: the middles of segments, here of two frames."""
    _, net = trained(CENTRE)
    found = net.predict(folder / "a.mp4", every=1, topk=8, batch_size=2)
    assert [(m.start, m.end) for m in found.timeline[:-1]] == [(i, i + 1) for i in range(4)]
    assert (found.timeline[-1].start, found.timeline[-1].end) == (4, pytest.approx(4.7))
    total = np.zeros(8)
    with VideoReader(accurate=True).open(str(folder / "a.mp4")) as source:
        for moment, start in zip(found.timeline, [0, 10, 20, 30, 37], strict=True):
            frames = source.read([start + n for n in (1, 3, 5, 7, 9)], central_plan(net))
            scores = net.net.predict({"video": torch.from_numpy(frames)[None, None]})["scores"][0]
            assert scores_of(moment) == pytest.approx(scores.tolist(), rel=1e-5)
            total += scores.numpy() * (moment.end - moment.start)
    assert found.scores == pytest.approx(total / 4.7, rel=1e-5)


@pytest.mark.parametrize("overrides", [TSN, THREE_CROPS], ids=["ten", "three"])
def test_parts_are_scored_by_the_central_one_of_several_crops(trained, folder, overrides):
    """The crop of TSN is 32 px of 36, the central one of three has 36 px."""
    _, net = trained(overrides)
    plan = Pipeline(build.build_reading(net.description)["steps"]).plan(72, 40, None)
    edge = 32 if overrides is TSN else 36
    with VideoReader(accurate=True).open(str(folder / "d.mp4")) as source:
        whole = source.read([1, 3, 5, 7, 9], replace(plan, crops=()))
    left, top = (whole.shape[2] - edge) // 2, (36 - edge) // 2
    clip = torch.from_numpy(whole[:, top : top + edge, left : left + edge].copy())
    expected = net.net.predict({"video": clip[None, None]})["scores"][0]
    found = net.predict(folder / "d.mp4", every=1, topk=8)
    assert scores_of(found.timeline[0]) == pytest.approx(expected.tolist(), rel=1e-5)


@torch.no_grad()
def test_a_clip_keeps_its_frames_and_their_distance(trained, folder):
    """8x2 frames are fifteen of the twenty of a part: two clips, at its start and at its end."""
    _, net = trained(CLIPS)
    found = net.predict(folder / "a.mp4", every=2, topk=8)
    with VideoReader(accurate=True).open(str(folder / "a.mp4")) as source:
        clips = [source.read(range(start, start + 16, 2), central_plan(net)) for start in (20, 25)]
    scores = net.net.predict({"video": torch.from_numpy(np.stack(clips))[None]})["scores"][0]
    assert scores_of(found.timeline[1]) == pytest.approx(scores.tolist(), rel=1e-5)


def test_every_frame_is_decoded_once_and_few_are_held(trained, tmp_path, monkeypatch):
    _, net = trained(CLIPS)
    predictor = RecognitionPredictor(Network(net.net, net.description, "x"), Options(every=0.5))
    decode, given, made = stream.decode_in_order, [], []
    windows = predictor.windows

    def counting(*arguments):
        for place, frame in decode(*arguments):
            given.append(frame.pts)
            yield place, frame

    monkeypatch.setattr(stream, "decode_in_order", counting)
    monkeypatch.setattr(predictor, "windows", lambda s: made.append(windows(s)) or made[-1])
    for length in (60, 240):
        given.clear()
        frames = np.random.default_rng(0).integers(0, 256, (length, 16, 16, 3), dtype=np.uint8)
        write_video(tmp_path / f"{length}.mp4", frames, RATE)
        found = predictor(str(tmp_path / f"{length}.mp4"))
        assert len(given) == len(set(given)) == length
        assert len(found.timeline) == length / 5
    assert made[0].most_held == made[1].most_held <= 4 * 8  # of clips that overlap


def test_a_network_of_frame_folders_reads_files_and_folders(trained, folder, tmp_path):
    """Its folder of the file's frames, as PNG, scores as the file itself."""
    _, net = trained([*TSN, "data/format=rawframes", 'data.train.reader.template="{:05d}.png"'])
    expected = trained(TSN)[1].predict(folder / "a.mp4").scores
    assert net.predict(folder / "a.mp4").scores.tobytes() == expected.tobytes()
    with VideoReader(accurate=True).open(str(folder / "a.mp4")) as source:
        plan = CropPlan((0, 0, 64, 48), (48, 64))
        for number, picture in enumerate(source.read(range(47), plan), start=1):
            image = av.VideoFrame.from_ndarray(picture, "rgb24").to_image()
            image.save(tmp_path / f"{number:05d}.png")
    found = net.predict(tmp_path)
    assert found.scores == pytest.approx(expected, abs=1e-6)
    assert found.duration is None
    with pytest.raises(VideoError, match="a folder of frames has no times"):
        net.predict(tmp_path, every=1)


def test_optical_flow_is_not_in_video_files(trained):
    _, net = trained(TSN)
    reading = {**net.description.preprocessing, "stack": 5}
    network = Network(net.net, replace(net.description, preprocessing=reading), "flow.pt")
    with pytest.raises(ValueError, match=r"flow\.pt is a network of optical flow"):
        RecognitionPredictor(network, Options())


def test_names_come_from_a_file_the_checkpoint_or_are_numbers(trained, folder, tmp_path):
    _, net = trained(TSN)
    names = [f"class {letter}" for letter in "abcdefgh"]
    (tmp_path / "names.txt").write_text("\n".join(names))
    (tmp_path / "few.txt").write_text("\n".join(names[:5]))
    best = net.predict(folder / "c.mp4").topk[0]
    assert best.name == str(best.label)
    named = TrainedModel(net.net, replace(net.description, class_names=names), "named.pt")
    assert named.predict(folder / "c.mp4").label == names[best.label]
    found = net.predict(folder / "c.mp4", names=str(tmp_path / "names.txt"))
    assert found.label == names[best.label]
    with pytest.raises(ValueError, match=r"few\.txt has 5 names, but the network has 8 classes"):
        net.predict(folder / "c.mp4", names=str(tmp_path / "few.txt"))


@pytest.mark.parametrize("average", ["none", None, "score"])
def test_logits_are_averaged_where_the_network_gives_those(trained, folder, average, monkeypatch):
    conf, net = trained(CLIPS)
    monkeypatch.setattr(net.net, "average_clips", average)
    dataset = build.build_dataset(conf.data, "test")
    with torch.no_grad():
        logits = net.net(dataset.collate([dataset[0]]))["logits"][0]
    expected = logits.mean(dim=0).tolist()
    assert net.predict(folder / "a.mp4").scores.tolist() == pytest.approx(expected, rel=1e-4)
    assert net.predict(folder / "a.mp4", every=1).scores.shape == (8,)


def test_damage_is_told(trained, folder, monkeypatch):
    decode = stream.decode_in_order

    def damaged(video, damage):
        for place, frame in decode(video, damage):
            if place == 30:
                damage[place] = frame.pts
            yield place, frame

    monkeypatch.setattr(stream, "decode_in_order", damaged)
    found = trained(CLIPS)[1].predict(folder / "a.mp4", every=1)
    assert re.search(r", \d+ damaged frames replaced by the ones before$", found.protocol)
    assert [m.start for m in found.timeline] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("wrong", ["every=0.0", "every=nan", "batch_size=0", "topk=0"])
def test_options_without_a_meaning_are_refused(wrong):
    name, value = wrong.split("=")
    with pytest.raises(ValueError, match=f"{name}={value}: give"):
        Options(**{name: float(value) if name == "every" else int(value)})
