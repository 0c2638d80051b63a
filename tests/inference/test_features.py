"""`net.features(video)`: what the classifier is given."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import vidrec
from vidrec.data.video.decoder import VideoError
from vidrec.data.video.writer import write_video
from vidrec.inference.trained import TrainedModel

SMALL = [
    "model=tsn_tiny", "data=motions", "model.clip.size=32", "data/views=three_crop",
    "model.clip.test_size=32", "data.num_classes=4", "model.net.backbone.num_stages=2",
    "model.net.cls_head.in_channels=128",
]  # fmt: skip


@pytest.fixture(scope="module")
def net(compose):
    torch.manual_seed(0)
    conf = compose(*SMALL)
    net = vidrec.build_model(conf)
    torch.nn.init.normal_(net.cls_head.fc_cls.weight)
    return TrainedModel(net, vidrec.api.describe_model(conf), "random")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "a.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (25, 9, 12, 3), dtype=np.uint8)
    write_video(path, noise.repeat(8, axis=1).repeat(8, axis=2), 10)
    return path


def test_the_classifier_makes_the_scores_of_them(net, video):
    """TSN averages the logits of its views, which are linear in the features."""
    features = vidrec.features(net, video)
    assert features.shape == (128,)
    assert features.dtype == np.float32
    with torch.no_grad():
        scores = net.net.cls_head.fc_cls(torch.from_numpy(features)).softmax(-1)
    np.testing.assert_allclose(scores, net.predict(video).scores, rtol=1e-4)
    # Nothing stays in the network.
    assert not any(module._forward_pre_hooks for module in net.modules())


@pytest.mark.slow
def test_those_of_windows_are_those_that_the_command_writes(net, video, tmp_path, run):
    torch.save(net.net.state_dict(), tmp_path / "net.pt")
    status, text = run(
        "-m", "vidrec", "extract", *SMALL, f"videos={video}", "checkpoint=net.pt", "out=features",
        "window=6", "stride=5", "crops=test", "runtime.device=cpu", "runtime.num_workers=0",
        cwd=tmp_path,
    )  # fmt: skip
    assert status == 0, text
    written = np.load(tmp_path / "features" / "a.npz")["feature"]
    features = net.features(video, window=6, stride=5)
    assert features.shape == (5, 128)
    np.testing.assert_array_equal(features.astype(np.float16), written)


def test_what_has_no_features_is_told(net, video, tmp_path):
    (tmp_path / "b.mp4").write_bytes(b"no video")
    for options in ({}, {"stride": 4}):
        with pytest.raises(VideoError, match=r"b\.mp4: "):
            net.features(tmp_path / "b.mp4", **options)
    with pytest.raises(ValueError, match="stride=0 is less than one frame"):
        net.features(video, stride=0)
    other = TrainedModel(net.net, replace(net.description, task="detection"), "x")
    with pytest.raises(ValueError, match="this one is for detection"):
        other.features(video)
    reading = net.description.preprocessing | {"stack": 5}
    flow = TrainedModel(net.net, replace(net.description, preprocessing=reading), "x")
    for options in ({}, {"stride": 4}):
        with pytest.raises(ValueError, match="x is a network of optical flow"):
            flow.features(video, **options)
