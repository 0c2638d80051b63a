"""`vidrec extract`: features of videos in sliding windows."""

import json
import os
import shutil
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from vidrec import build
from vidrec.commands.extract import extract_run
from vidrec.data.synthetic.shapes import write_motions
from vidrec.data.video.listing import list_videos
from vidrec.data.video.pyav import VideoReader
from vidrec.inference.feature_windows import Windows

SMALL = [
    "model=tsn_tiny", "data=motions", "model.clip.size=32", "runtime.num_workers=0",
    "runtime.device=cpu", "data.num_classes=4", "runtime.progress=false", "window=6", "stride=5",
    "crops=test", "model.net.backbone.num_stages=2", "model.net.cls_head.in_channels=128",
]  # fmt: skip


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Three videos of 25 frames, one of them in a folder of its own."""
    root = tmp_path_factory.mktemp("videos")
    write_motions(str(root / "all"), num_train=1, num_val=3)
    files = sorted((root / "all" / "videos").glob("val_*.mp4"))
    (root / "some" / "deeper").mkdir(parents=True)
    for file, name in zip(files, ("a.mp4", "b.mp4", "deeper/c.mp4"), strict=True):
        os.link(file, root / "some" / name)
    return root / "some"


@pytest.fixture(scope="module")
def configured(compose):
    """`configured(*overrides, views=...)`: the configuration of the command for small clips."""

    @cache
    def configured(*overrides, views="center_crop"):
        views = [f"data/views={views}", "model.clip.test_size=32"]
        return compose(*SMALL, *views, "videos=x", *overrides, config_name="extract")

    return configured


@pytest.fixture(scope="module")
def extract(configured, videos, checkpoint):
    """`extract(out, *overrides)`: the arrays of every file that the command wrote, by its name."""

    def extract(out, *overrides, videos=videos, checkpoint=checkpoint, views="center_crop"):
        given = {"videos": str(videos), "checkpoint": str(checkpoint), "out": str(out)}
        extract_run(replace(configured(*overrides, views=views), **given))
        return {str(p.relative_to(out)): dict(np.load(p)) for p in sorted(out.rglob("*.npz"))}

    return extract


@pytest.fixture(scope="module")
def checkpoint(configured, tmp_path_factory):
    """Weights of a random network, whose classifier is not near zero."""
    torch.manual_seed(0)
    net = build.build_net(configured().model)
    torch.nn.init.normal_(net.cls_head.fc_cls.weight)
    path = tmp_path_factory.mktemp("weights") / "net.pt"
    torch.save(net.state_dict(), path)
    return path


def test_windows_lie_around_the_centres_of_stretches_and_stay_in_the_video():
    """Worked out by hand: stretches of 4 frames of a video of 9, windows of 6, 3 frames of each."""
    assert Windows(window=6, stride=4, num_frames=3, chunk=8)(9).tolist() == [[0, 2, 4], [4, 6, 8]]
    assert Windows(window=8, stride=4, num_frames=2, chunk=8)(9).tolist() == [[0, 4], [4, 8]]
    assert Windows(window=2, stride=9, num_frames=2, chunk=8)(3).tolist() == [[2, 2]]


def test_features_are_what_the_classifier_sees(configured, extract, videos, checkpoint, tmp_path):
    """The classifier applied to them gives the network's own logits of the windows' frames."""
    found = extract(tmp_path / "out")
    assert list(found) == ["a.npz", "b.npz", "deeper/c.npz"]
    conf = configured()
    net = build.build_net(conf.model)
    net.load_state_dict(torch.load(checkpoint))
    net.eval()
    pipeline = build.build_dataset(
        configured(f"data.root={videos.parent / 'all'}").data, "test"
    ).transforms
    for name in ("a", "deeper/c"):
        feature = found[f"{name}.npz"]["feature"]
        assert feature.shape == (5, 128)
        assert feature.dtype == np.float16
        logits = net.cls_head.fc_cls(torch.from_numpy(feature).float())
        with VideoReader(accurate=True).open(str(videos / f"{name}.mp4")) as source:
            plan = pipeline.plan(source.width, source.height, np.random.default_rng(0))
            # Window k is around frame 5 k + 2.5; the three frames seen of it are 2 apart.
            for k in range(5):
                indices = np.clip([5 * k + 0, 5 * k + 2, 5 * k + 4], 0, 24).tolist()
                clip = torch.from_numpy(source.read(indices, plan))[None, None]
                with torch.no_grad():
                    expected = net({"video": clip})["logits"][0, 0]
                torch.testing.assert_close(logits[k], expected, rtol=5e-3, atol=5e-3)


def test_chunks_and_crops_change_nothing_but_the_average(extract, tmp_path):
    whole = extract(tmp_path / "whole")
    parts = extract(tmp_path / "parts", "chunk=2")
    for name, content in whole.items():
        np.testing.assert_allclose(parts[name]["feature"], content["feature"], rtol=2e-3, atol=2e-3)
    # The frames are square: the three crops of a view are one and the same.
    crops = extract(tmp_path / "crops", views="three_crop")
    one, three = whole["a.npz"]["feature"], crops["a.npz"]["feature"]
    assert three.shape == one.shape
    np.testing.assert_allclose(three, one, rtol=5e-3, atol=5e-3)


def test_the_list_is_in_the_form_of_activitynet(extract, tmp_path):
    extract(tmp_path / "out")
    listed = json.loads((tmp_path / "out" / "features.json").read_text())
    assert list(listed) == ["a", "b", "deeper/c"]
    assert listed["a"] == {
        "duration_frame": 25,
        "duration_second": pytest.approx(25 / 12),
        "feature_frame": 25,
        "num_features": 5,
        "annotations": [],
    }


def test_what_is_there_stays_and_what_is_missing_is_added(extract, tmp_path, capsys):
    out = tmp_path / "out"
    extract(out)
    before = (out / "a.npz").stat().st_mtime_ns
    (out / "b.npz").unlink()
    assert len(extract(out)) == 3
    assert (out / "a.npz").stat().st_mtime_ns == before
    assert capsys.readouterr().out.split("\n")[-3].endswith("1 to do")


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("stride=7", "stride 5, not 7"),
        ("runtime.precision=bf16", "precision fp32, not bf16"),
        ("model.clip.test_size=40", r"data\.transforms\.test"),
    ],
)
def test_features_of_other_settings_are_refused(extract, videos, tmp_path, override, what):
    out = tmp_path / "out"
    before = extract(out, videos=videos / "a.mp4")
    # Another video too: the features of a folder are of one kind.
    with pytest.raises(ValueError, match=rf"made with other settings \({what}\); use another out"):
        extract(out, override, videos=videos / "b.mp4")
    after = {path.name: dict(np.load(path)) for path in out.glob("*.npz")}
    np.testing.assert_equal(after, before)


def test_features_of_other_weights_under_the_same_path_are_refused(extract, checkpoint, tmp_path):
    path = tmp_path / "last.pt"
    weights = torch.load(checkpoint)
    torch.save(weights, path)
    extract(tmp_path / "out", checkpoint=path)
    # The same weights from elsewhere are the same.
    extract(tmp_path / "out", checkpoint=checkpoint)
    weights["backbone.conv1.conv.weight"][0, 0, 0, 0] += 1e-3  # trained a little more
    torch.save(weights, path)
    with pytest.raises(ValueError, match=r"made with other settings \(weights\)"):
        extract(tmp_path / "out", checkpoint=path)


def test_the_features_of_a_video_that_changed_are_made_again(extract, videos, tmp_path, capsys):
    (tmp_path / "videos").mkdir()
    for name, other in (("1.mp4", "a.mp4"), ("2.mp4", "b.mp4")):
        shutil.copyfile(videos / other, tmp_path / "videos" / name)
    given = tmp_path / "videos"
    before = extract(tmp_path / "out", videos=given)
    shutil.copyfile(videos / "deeper" / "c.mp4", tmp_path / "videos" / "2.mp4")
    after = extract(tmp_path / "out", videos=given)
    said = capsys.readouterr().out
    assert "2 videos in" in said
    assert "1 to do, 1 of them again because the video has changed" in said
    expected = extract(tmp_path / "whole")["deeper/c.npz"]["feature"]
    np.testing.assert_array_equal(after["2.npz"]["feature"], expected)
    assert (after["2.npz"]["feature"] != before["2.npz"]["feature"]).any()
    np.testing.assert_array_equal(after["1.npz"]["feature"], before["1.npz"]["feature"])


def test_videos_that_are_added_leave_the_others_and_their_annotations(extract, videos, tmp_path):
    index = tmp_path / "out" / "features.json"
    extract(tmp_path / "out", videos=videos / "a.mp4")
    listed = json.loads(index.read_text())
    listed["a"]["annotations"] = [{"segment": [0, 1], "label": "jump"}]
    listed["a"]["subset"] = "training"
    index.write_text(json.dumps(listed))
    extract(tmp_path / "out", videos=videos / "b.mp4")
    again = json.loads(index.read_text())
    assert list(again) == ["a", "b"]
    assert again["a"] == listed["a"]
    (tmp_path / "out" / "a.npz").unlink()
    extract(tmp_path / "out")
    again = json.loads(index.read_text())
    assert list(again) == ["a", "b", "deeper/c"]
    assert again["a"] == listed["a"]


@pytest.mark.parametrize("name", ["features.json", "a.npz"])
def test_a_file_that_the_command_did_not_write_stays(extract, tmp_path, name):
    mine = tmp_path / "out" / name
    mine.parent.mkdir()
    mine.write_text('{"my": "file"}')
    with pytest.raises(FileExistsError, match=rf"{mine} exists, and it was not written by this"):
        extract(tmp_path / "out")
    assert mine.read_text() == '{"my": "file"}'
    assert os.listdir(mine.parent) == [name]


@pytest.mark.parametrize("listed", [["{0}/a.mp4", "{1}/a.mp4"], ["{1}/a.mp4", "{1}/a.avi"]])
def test_two_videos_of_one_name_are_refused(extract, videos, tmp_path, listed):
    for name in ("a.mp4", "a.avi"):
        os.link(videos / "a.mp4", tmp_path / name)
    (tmp_path / "list.txt").write_text("\n".join(listed).format(videos, tmp_path))
    with pytest.raises(ValueError, match=r"a\.mp4 and .*a\..* would both be written as 'a'"):
        extract(tmp_path / "out", videos=tmp_path / "list.txt")
    assert not (tmp_path / "out").exists()


def test_features_stay_within_their_folder(extract, videos, tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "videos").symlink_to(videos)
    listed = tmp_path / "lists" / "list.txt"
    listed.write_text("../videos/a.mp4\n../videos/../videos/a.mp4\n")
    found = extract(tmp_path / "lists" / "out", videos=listed)
    assert list(found) == ["a.npz"]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "deeper").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"linked/deeper is not within the output folder "):
        extract(tmp_path / "linked")
    assert not any((tmp_path / "elsewhere").iterdir())


def test_fewer_than_asked_is_an_error_after_the_others(extract, videos, tmp_path, capsys):
    (tmp_path / "broken.mp4").write_text("no video")
    listed = tmp_path / "list.txt"
    listed.write_text(f"broken.mp4\nmissing.mp4\n{videos / 'a.mp4'}\n")
    with pytest.raises(
        ValueError, match=r"2 of 3 videos have no features.*: .*/broken\.mp4, .*/mi"
    ):
        extract(tmp_path / "out", videos=listed)
    assert f"warning: skipped {tmp_path / 'broken.mp4'}" in capsys.readouterr().out
    assert list(json.loads((tmp_path / "out" / "features.json").read_text())) == ["a"]
    assert len(np.load(tmp_path / "out" / "a.npz")["feature"]) == 5


def test_a_place_without_videos_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"videos={tmp_path} holds no files of .mp4"):
        list_videos(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="give a folder, a list of paths or a video file"):
        list_videos(str(tmp_path / "nothing"))
