"""Segments of videos: the same as in an evaluation on features that `vidrec extract` wrote."""

import json
import shutil
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import vidrec
from vidrec import build
from vidrec.api import describe_model
from vidrec.commands.evaluate import evaluate_run
from vidrec.commands.extract import extract_run
from vidrec.data.segments.annotations import read_segments
from vidrec.data.synthetic.shapes import write_motions
from vidrec.data.video.decoder import VideoError
from vidrec.metrics.activitynet_json import SegmentDetections
from vidrec.metrics.segment_map import SegmentMAP

QUIET = ["runtime.num_workers=0", "runtime.device=cpu", "runtime.progress=false"]
ONE = "schedule.test_batch_size=1"  # batches of another size differ in the last bits
RECOGNIZER = [
    "model=tsn_tiny", "data=motions", "model.clip.size=32", "model.clip.test_size=32",
    "data/views=center_crop", "model.net.backbone.num_stages=2", "data.num_classes=4",
    "model.net.cls_head.in_channels=128", *QUIET,
]  # fmt: skip
WINDOWS = [
    "+data.windows._target_=vidrec.data.segments.dataset.SlidingWindows", "+data.windows.stride=4",
    "+data.metric.merge._target_=vidrec.metrics.segment_results.Merge",
    "+data.metric.merge.alpha=0.4", "+data.metric.merge.low_threshold=0.5",
    "+data.metric.merge.high_threshold=0.9", "+data.metric.merge.top_k=20",
]  # fmt: skip
SMALL = {
    "bmn": ["model.net.num_samples=4", "+model.net.hidden_dim_3d=16"],
    "bsn_tem": ["model.net.tem_hidden_dim=16"],
}


def save(conf, path, seed=0, **about):
    """A checkpoint of a random network as training writes it."""
    torch.manual_seed(seed)
    net = build.build_net(conf.model)
    for parameter in net.parameters():  # no classifier near zero
        if parameter.ndim > 1:
            torch.nn.init.xavier_normal_(parameter)
    described = asdict(describe_model(conf)) | about
    torch.save({"net": net.state_dict(), "about": described}, path)
    return path


@pytest.fixture(scope="module")
def extracted(compose, tmp_path_factory):
    """A folder with videos, the weights of an extractor, and features with annotations."""
    root = tmp_path_factory.mktemp("localization")
    write_motions(str(root / "all"), num_train=1, num_val=2)
    (root / "videos").mkdir()
    for file, name in zip(sorted((root / "all" / "videos").glob("val*")), "ab", strict=True):
        file.rename(root / "videos" / f"{name}.mp4")
    weights = save(compose(*RECOGNIZER), root / "extractor.pt")
    settings = ["window=6", "stride=2", "crops=test", "videos=x"]
    conf = compose(*RECOGNIZER, *settings, config_name="extract")
    given = {"videos": str(root / "videos"), "checkpoint": str(weights)}
    extract_run(replace(conf, out=str(root / "features"), **given))
    index = root / "features" / "features.json"
    listed = json.loads(index.read_text())
    for name, video in listed.items():
        video["annotations"] = [{"segment": [0.2, 1.0], "label": "jump" + name[0]}]
    index.write_text(json.dumps(listed))
    return root


@pytest.fixture(scope="module")
def trained(compose, extracted):
    """`trained(model, *overrides)`: the configuration of a localizer, and its checkpoint."""
    features = extracted / "features"

    @cache
    def configured(model, *overrides):
        choices = [
            f"model={model}", "data=activitynet", f"data.features={features}", "data.feat_dim=128",
            f"data.train.records.path={features}/features.json", "data.temporal_dim=8",
            f"data.val.records.path={features}/features.json", *QUIET, ONE,
            *SMALL[model], *overrides,
        ]  # fmt: skip
        if overrides != tuple(WINDOWS):
            choices.append("data.resize=true")
        return compose(*choices, config_name="evaluate")

    def trained(model, *overrides, **about):
        conf = configured(model, *overrides)
        file = save(conf, extracted / f"{model}_{len(overrides)}_{len(about)}.pt", 1, **about)
        return replace(conf, checkpoint=str(file)), file

    return trained


def video_of(root, name):
    return str(root / "videos" / f"{name}.mp4")


@pytest.mark.parametrize(("model", "overrides"), [("bmn", []), ("bmn", WINDOWS), ("bsn_tem", [])])
def test_segments_are_those_of_an_evaluation(trained, extracted, tmp_path, model, overrides):
    """Bit for bit: windows, weights, resampling, sequences, merging and times."""
    conf, file = trained(model, *overrides)
    evaluate_run(replace(conf, dump=str(tmp_path / "out.json")))
    expected = json.loads((tmp_path / "out.json").read_text())["results"]
    net = vidrec.load_model(file)
    for name, entries in expected.items():
        assert entries
        found = net.predict(video_of(extracted, name), batch_size=1)
        assert [(s.start, s.end, s.score) for s in found.segments] == [
            (*entry["segment"], entry["score"]) for entry in entries
        ]
        assert {s.name for s in found.segments} == {None}
        assert found.duration == pytest.approx(25 / 12)
        stored = net.predict(video_of(extracted, name), features=str(extracted / "features"))
        assert [s.start for s in stored.segments] == [s.start for s in found.segments]


def test_segments_get_the_best_classes_of_the_video(compose, trained, extracted, tmp_path):
    """As the metric labels proposals with a classifier's JSON."""
    conf, file = trained("bmn")
    video = video_of(extracted, "a")
    net, run = vidrec.load_model(file), str(extracted / "extractor.pt")
    plain = net.predict(video).segments
    found = net.predict(video, classifier=run, min_score=1e-9).segments
    scores = vidrec.load_model(run).predict(video).scores
    names = ["0", "1", "2", "3"]
    labels = [{"label": n, "score": float(s)} for n, s in zip(names, scores, strict=True)]
    (tmp_path / "labels.json").write_text(json.dumps({"results": {"a": labels}}))
    records = read_segments(conf.data.test["records"]["path"])
    metric = SegmentMAP.__new__(SegmentMAP)  # the names of its classes are not compared
    metric.records = records
    metric.video_labels = {
        "a": sorted(((e["label"], e["score"]) for e in labels), key=lambda p: -p[1])[:2]
    }
    row = next(i for i, record in enumerate(records) if record.name == "a")
    expected = metric.labelled(
        SegmentDetections(
            np.full(len(plain), row),
            np.array([(s.start, s.end) for s in plain]),
            np.array([s.score for s in plain]),
        )
    )
    wanted = sorted(
        zip(expected.scores.tolist(), expected.labels, expected.segments.tolist(), strict=True)
    )
    assert sorted((s.score, s.name, [s.start, s.end]) for s in found) == [
        w for w in wanted if w[0] >= 1e-9
    ]
    assert [s.score for s in found] == sorted((s.score for s in found), reverse=True)
    best = net.predict(video, min_score=plain[3].score).segments
    assert best == plain[:4]


def test_the_weights_are_found_where_they_are_now_and_verified(
    compose, trained, extracted, tmp_path
):
    _, file = trained("bmn")
    known = vidrec.load_model(file).description.extractor
    assert known["checkpoint"] == str(extracted / "extractor.pt")
    moved = shutil.copy(known["checkpoint"], tmp_path / "moved.pt")
    video = video_of(extracted, "b")
    expected = vidrec.load_model(file).predict(video).segments
    _, file = trained("bmn", extractor=known | {"checkpoint": "https://example.com/weights.pt"})
    with pytest.raises(ValueError, match="which are not there"):  # nothing is fetched
        vidrec.load_model(file).predict(video)
    _, file = trained("bmn", extractor=known | {"checkpoint": str(tmp_path / "gone.pt")})
    net = vidrec.load_model(file)
    with pytest.raises(ValueError, match=r"gone\.pt, which are not there: pass --extractor RUN"):
        net.predict(video)
    assert net.predict(video, extractor=str(moved)).segments == expected
    other = save(compose(*RECOGNIZER), tmp_path / "other.pt", seed=5)
    with pytest.raises(ValueError, match=r"other\.pt has other weights than those"):
        net.predict(video, extractor=str(other))


def test_without_a_word_on_the_extractor_there_are_two_ways_out(trained, extracted):
    _, file = trained("bmn", extractor=None)
    net = vidrec.load_model(file)
    video = video_of(extracted, "a")
    with pytest.raises(ValueError, match=r"pass --extractor RUN.*or --features FOLDER"):
        net.predict(video)
    # As `vidrec extract` would by default: a feature of 64 frames is all that such a clip has.
    with pytest.raises(VideoError, match="too short, it has a single feature"):
        net.predict(video, extractor=str(extracted / "extractor.pt"))
    assert net.predict(video, features=str(extracted / "features")).segments
    with pytest.raises(ValueError, match="are two sources of features"):
        net.predict(video, features="features", extractor="runs/a")


def test_folders_of_features_of_any_kind(trained, extracted, tmp_path):
    """Without times in the files they cover the whole video, as its frames say."""
    _, file = trained("bmn")
    net = vidrec.load_model(file)
    videos = [video_of(extracted, name) for name in ("a", "b")]
    with np.load(extracted / "features" / "a.npz") as arrays:
        feature = arrays["feature"]
    (tmp_path / "npy" / "videos").mkdir(parents=True)
    np.save(tmp_path / "npy" / "videos" / "a.npy", feature)
    found = net.predict(videos[0], features=str(tmp_path / "npy"))
    expected = net.predict(videos[0], features=str(extracted / "features"))
    # The published times end with the last whole interval of 16 frames: 16 of 25.
    np.testing.assert_allclose(
        [s.start * 16 / 25 for s in found.segments], [s.start for s in expected.segments]
    )
    with pytest.raises(VideoError, match=r"b.*has no features of it"):
        net.predict(videos[1], features=str(tmp_path / "npy"))
    np.save(tmp_path / "npy" / "b.npy", feature[:, :64])
    net = vidrec.load_model(file)  # which has not listed the folder yet
    with pytest.raises(ValueError, match=r"expects features of 128 channels, but those of .* 64"):
        net.predict(videos[1], features=str(tmp_path / "npy"))
    other = shutil.copytree(extracted / "features", tmp_path / "other")
    marker = other / ".vidrec.json"
    marker.write_text(marker.read_text().replace('"stride": "2"', '"stride": "3"'))
    with pytest.raises(ValueError, match=r"were not extracted as those that .* \(stride differ\)"):
        net.predict(videos[0], features=str(other))


def test_folders_of_earlier_versions_go_on_and_say_all_but_the_place(
    compose, trained, extracted, tmp_path
):
    old = shutil.copytree(extracted / "features", tmp_path / "old")
    marker = old / ".vidrec.json"
    content = json.loads(marker.read_text())
    del content["notes"]
    marker.write_text(json.dumps(content))
    _, file = trained("bmn", f"data.features={old}")
    net = vidrec.load_model(file)
    assert net.description.extractor["checkpoint"] is None
    video = video_of(extracted, "a")
    with pytest.raises(ValueError, match="does not say where the weights are"):
        net.predict(video)
    again = net.predict(video, extractor=str(extracted / "extractor.pt"))
    assert again.segments == vidrec.load_model(trained("bmn")[1]).predict(video).segments
    # The same command resumes the folder, and notes the place from then on.
    before = (old / "a.npz").stat().st_mtime_ns
    settings = ["window=6", "stride=2", "crops=test", "videos=x"]
    conf = compose(*RECOGNIZER, *settings, config_name="extract")
    given = {"videos": str(extracted / "videos"), "out": str(old)}
    extract_run(replace(conf, checkpoint=str(extracted / "extractor.pt"), **given))
    assert (old / "a.npz").stat().st_mtime_ns == before
    place = json.loads(marker.read_text())["notes"]["checkpoint"]
    assert Path(place).is_absolute()


def test_an_extractor_may_not_name_any_function(trained, extracted):
    values = vidrec.load_model(trained("bmn")[1]).description.extractor
    for changed in (
        {"net": {"_target_": "os.system", "command": "true"}},
        {"steps": {"crop": {"_target_": "shutil.rmtree", "path": "x"}}},
    ):
        _, file = trained("bmn", extractor=values | changed)
        with pytest.raises(ValueError, match=r"asks for (os\.system|shutil\.rmtree)"):
            vidrec.load_model(file)
    _, file = trained("bmn", extractor=values | {"window": "6"})
    with pytest.raises(ValueError, match="does not describe the network that extracted"):
        vidrec.load_model(file).predict(video_of(extracted, "a"))


def test_the_second_network_of_bsn_finds_no_segments_by_itself(compose, tmp_path):
    conf = compose("model=bsn_pem")
    file = save(conf, tmp_path / "pem.pt")
    with pytest.raises(ValueError, match="scores proposals of BSN's first network"):
        vidrec.load_model(file).predict("video.mp4")
