"""`net(frames)`: frames in any layout are the clip of a dataset."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

import vidrec
from vidrec import build
from vidrec.data.clips.dataset import VideoDataset
from vidrec.data.clips.records import Records
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.pyav import VideoReader
from vidrec.data.video.writer import write_video
from vidrec.inference.trained import TrainedModel
from vidrec.weights.description import ModelDescription

LAYOUTS = {"THWC": (0, 1, 2, 3), "TCHW": (0, 3, 1, 2), "CTHW": (3, 0, 1, 2)}


def trained(model, *overrides):
    """A network with random weights, as if it came from a checkpoint."""
    torch.manual_seed(0)
    conf = vidrec.compose(f"model={model}", *overrides)
    description = vidrec.api.describe_model(conf)
    assert isinstance(description, ModelDescription)
    return TrainedModel(vidrec.build_model(conf), description, "random")


@pytest.fixture(scope="module")
def net():
    """A TSN with one crop and five segments in the test."""
    return trained(
        "tsn_tiny",
        "data/views=center_crop",
        "model.clip.test_size=64",
        "model.net.backbone.num_stages=1",
        "model.net.cls_head.in_channels=64",
    )


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).integers(0, 256, (12, 70, 90, 3), dtype=np.uint8)


@torch.no_grad()
def test_frames_in_every_form_are_the_clip_of_the_dataset(net, tmp_path):
    """The reference: the dataset of a test reads the file, and the network sees its batch."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 9, 12, 3), dtype=np.uint8)
    write_video(tmp_path / "a.mp4", noise.repeat(10, axis=1).repeat(10, axis=2), 10)
    dataset = VideoDataset(
        Records.pack([str(tmp_path / "a.mp4")], [0]), **build.build_reading(net.description)
    )
    expected = net.net(dataset.collate([dataset[0]]))["logits"][:, 0]
    with VideoReader().open(str(tmp_path / "a.mp4")) as source:
        whole = CropPlan((0, 0, source.width, source.height), (source.height, source.width))
        whole = type(whole)((0, 0, source.width, source.height), (source.height, source.width))
        decoded = source.read(range(source.num_frames), whole)
    for layout, axes in LAYOUTS.items():
        video = np.ascontiguousarray(decoded.transpose(axes))
        for given in (video, torch.from_numpy(video)):
            assert torch.equal(net(given, layout), expected)
            two = net(np.stack([given, given]), f"N{layout}")
            torch.testing.assert_close(two, expected.repeat(2, 1))
        # Not rounded to whole levels after scaling.
        close = {"atol": 5e-3 * float(expected.abs().max()), "rtol": 0}
        torch.testing.assert_close(net(video / 255, layout), expected, **close)
        torch.testing.assert_close(net(torch.from_numpy(video) / 255, layout), expected, **close)
    assert torch.equal(net(list(decoded)), expected)
    scores = net.predict(tmp_path / "a.mp4").scores
    np.testing.assert_allclose(expected.softmax(-1)[0], scores, rtol=1e-5)


@torch.no_grad()
def test_prepared_frames_go_in_as_they_are(net, frames):
    clip = frames[:7, :48, :56]
    batch = {"video": torch.from_numpy(clip)[None, None]}
    expected = net.net(batch)["logits"][:, 0]
    assert torch.equal(net(clip, prepare=False), expected)
    torch.testing.assert_close(net(clip / 255, prepare=False), expected)
    # OpenCV's BGR is mirrored along the channels.
    assert torch.equal(
        net(clip[..., ::-1], prepare=False), net(clip[..., ::-1].copy(), prepare=False)
    )


def test_the_central_one_of_several_crops_is_taken(net, frames):
    reading = net.description.preprocessing
    crop = {"_target_": "vidrec.data.transforms.geometric.TenCrop", "crop_size": 56}
    steps = {"preprocessing": reading | {"steps": reading["steps"] | {"crop": crop}}}
    ten = TrainedModel(net.net, replace(net.description, **steps), "random")
    frames = frames[:, :64, :72]  # TenCrop's margins are multiples of four
    assert torch.equal(ten(frames), net(frames))


def test_a_gradient_reaches_float_frames_and_weights(net, frames):
    given = torch.from_numpy(frames / 255).requires_grad_()
    net(given).sum().backward()
    # Five of twelve frames are seen, in the middle of fifths.
    assert given.grad.flatten(1).any(dim=1).nonzero().flatten().tolist() == [1, 3, 6, 8, 10]
    net.zero_grad()


@pytest.mark.parametrize(
    ("shape", "layout", "kind", "message"),
    [
        ((8, 3, 60, 60), "THWC", np.uint8, r"60 channels as layout='THWC'.*is it layout='TCHW'"),
        ((3, 8, 60, 60), "THWC", np.uint8, r"\(3, 8, 60, 60\).*is it layout='CTHW'"),
        ((2, 3, 8, 60, 60), "NTCHW", np.uint8, r"8 channels.*takes 3: is it layout='CTHW'"),
        ((8, 60, 60, 4), "THWC", np.uint8, "4 channels.*none of its axes fits"),
        ((60, 60, 3), "THWC", np.uint8, r"\(60, 60, 3\) are not of 4 axes, THWC, or 5, NTHWC"),
        ((8, 60, 60, 3), "NTHWC", np.uint8, "not of 5 axes, NTHWC"),
        ((8, 60, 60, 3), "TWHC", np.uint8, "layout='TWHC'.*did you mean 'THWC'"),
        ((0, 60, 60, 3), "THWC", np.uint8, "empty"),
        ((8, 60, 60, 3), "THWC", np.int64, "int64: pass uint8"),
        ((8, 60, 60, 3), "THWC", object, "object: pass uint8"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(net, shape, layout, kind, message):
    with pytest.raises(ValueError, match=message):
        net(np.zeros(shape, kind), layout)


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [(0, 255, "from 0 to 255: pass uint8, or divide by 255"), (-2, 2, "already normalised ones"),
     (0, np.nan, "from nan to nan")],
)  # fmt: skip
def test_floats_on_another_scale_are_refused(net, low, high, message):
    video = np.zeros((8, 60, 60, 3), np.float32)
    video[0, 0, 0] = low, high, high
    with pytest.raises(ValueError, match=message):
        net(video)


def test_what_is_passed_to_the_wrong_method_is_told_where_to_go(net, frames):
    for given, message in (
        ({"video": frames}, r"pass a batch to its \.net"),
        ("a.mp4", r"pass a file to its \.predict"),
        ([frames[0], frames[0, :9]], "frames of a list differ in size"),
    ):
        with pytest.raises(ValueError, match=message):
            net(given)
    with pytest.raises(ValueError, match=r"not a ndarray: net\(frames\) takes frames"):
        net.predict(frames)
    with pytest.raises(ValueError, match="no option 'topkk'; did you mean 'topk'"):
        net.predict("a.mp4", topkk=3)


def test_a_network_over_clips_takes_its_number_of_frames():
    net = trained("slowonly_tiny")
    num = net.description.clip["frames"]
    size = net.description.clip["short_side"]
    video = np.random.default_rng(0).integers(0, 256, (3 * num, size, size, 3), dtype=np.uint8)
    assert torch.equal(net(video), net(video[1::3]))
    with pytest.raises(ValueError, match=f"clips of {num - 1} frames are shorter than the {num}"):
        net(video[: num - 1])
    with pytest.raises(ValueError, match=f"network sees {num} at once: pass as many, or more with"):
        net(video, prepare=False)


def test_only_recognition_takes_frames(net, frames):
    net = TrainedModel(net.net, replace(net.description, task="detection"), "random")
    with pytest.raises(ValueError, match="this one is for detection"):
        net(frames)


def test_copies_predict_the_same_and_training_mode_is_refused(net, frames, tmp_path):
    write_video(tmp_path / "a.mp4", frames, 10)
    expected = net.predict(tmp_path / "a.mp4")
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.predict(tmp_path / "a.mp4") == expected
        assert torch.equal(other(frames), net(frames))
        assert not other.training
    assert (
        expected
        == net.predict(tmp_path / "a.mp4", topk=5)
        != net.predict(tmp_path / "a.mp4", topk=1)
    )
    with pytest.raises(ValueError, match=r"training mode: call net\.eval\(\) before net\.predict"):
        other.train().predict(tmp_path / "a.mp4")
