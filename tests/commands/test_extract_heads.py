"""`vidrec extract` with every head: a window has one feature, which is what the classifier sees."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.paths import ROOT
from vidrec import build
from vidrec.commands.extract import extract_run
from vidrec.config.signatures import locate
from vidrec.data.transforms.pipeline import Pipeline
from vidrec.data.video.pyav import VideoReader
from vidrec.data.video.writer import write_video
from vidrec.models.heads.i3d import I3DHead
from vidrec.models.heads.mvit import MViTHead
from vidrec.models.heads.omni import OmniHead
from vidrec.models.heads.slowfast import SlowFastHead
from vidrec.models.heads.timesformer import TimeSformerHead
from vidrec.models.heads.trn import TRNHead
from vidrec.models.heads.tsm import TSMHead
from vidrec.models.heads.tsn import TSNHead
from vidrec.models.heads.x3d import X3DHead
from vidrec.models.necks.tpn import TPN
from vidrec.models.recognizer import Recognizer2D, Recognizer3D


class Frames(nn.Module):
    """(B, 3, H, W) -> (B, 8, h, w)."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 5, stride=8)

    def forward(self, x):
        return self.conv(x).relu()


class Clips(nn.Module):
    """(B, 3, T, H, W) -> (B, 8, T - 1, h, w), or what else the head takes."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        channels = 64 if kind == "levels" else 8  # TPN has 32 groups
        self.conv = nn.Conv3d(3, channels, (2, 5, 5), stride=(1, 8, 8))

    def forward(self, x):
        x = self.conv(x).relu()
        vector = x.mean(dim=(2, 3, 4))
        kinds = {
            "map": x,
            "vector": vector,
            "pathways": (x, x.square()),
            "class token": (x, vector),
            "levels": (x[:, :32], x[:, :, :, ::2, ::2]),
        }
        return kinds[self.kind]


class Whole(nn.Module):
    """A network with a classifier of its own, as those of torchvision."""

    def __init__(self, num_classes):
        super().__init__()
        self.clips = Clips("vector")
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.fc(self.clips(x))


def network(kind, backbone, head, neck=None):
    mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    return kind(backbone, head, mean, std, max_test_images=7, neck=neck)


def pyramid():
    return TPN([32, 64], None, out_channels=32, fused_channels=32, temporal_scale=1)


def flat(head):
    return network(Recognizer2D, Frames(), head)


def deep(kind, head, neck=None):
    return network(Recognizer3D, Clips(kind), head, neck)


def whole(num_classes):
    return network(Recognizer3D, Whole(num_classes), nn.Identity())


# A network for so many classes, and its classifier. That of TRN sees single frames, whose relations
# come after it.
NETWORKS = {
    "TSN": (lambda k: flat(TSNHead(k, 8)), "cls_head.fc_cls"),
    "TSM": (lambda k: flat(TSMHead(k, 8)), "cls_head.fc_cls"),
    "TRN": (lambda k: flat(TRNHead(k, 8, 3)), None),
    "TRN, one scale": (lambda k: flat(TRNHead(k, 8, 3, "TRN")), None),
    "I3D": (lambda k: deep("map", I3DHead(k, 8)), "cls_head.fc_cls"),
    "TPN": (lambda k: deep("levels", I3DHead(k, 32), pyramid()), "cls_head.fc_cls"),
    "SlowFast": (lambda k: deep("pathways", SlowFastHead(k, 16)), "cls_head.fc_cls"),
    "TimeSformer": (lambda k: deep("vector", TimeSformerHead(k, 8)), "cls_head.fc_cls"),
    "MViT": (lambda k: deep("class token", MViTHead(k, 8)), "cls_head.fc_cls"),
    "X3D": (lambda k: deep("map", X3DHead(k, 8, 6)), "cls_head.fc2"),
    "OmniSource": (lambda k: deep("map", OmniHead(k, 8, 9, 6)), "cls_head.fc3d.6"),
    "torchvision": (whole, "backbone.fc"),
}


def test_no_head_is_left_out():
    text = "".join(path.read_text() for path in sorted((ROOT / "conf/model").glob("*.yaml")))
    targets = re.findall(r"cls_head:\n +_target_: (\S+)", text)
    assert {locate(target) for target in targets} == {
        type(make(4).cls_head) for make, _ in NETWORKS.values()
    }


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """11 frames of noise."""
    path = tmp_path_factory.mktemp("videos") / "v.mp4"
    frames = np.random.default_rng(0).integers(0, 256, (11, 32, 40, 3), np.uint8)
    write_video(path, frames, 10)
    return path


@pytest.fixture(scope="module")
def conf(compose, video):
    return compose(
        "model=tsn_tiny", "model.clip.size=32", "data=motions", "data/views=center_crop",
        "runtime.num_workers=0", "runtime.device=cpu", "window=3", "stride=2", f"videos={video}",
        config_name="extract",
    )  # fmt: skip


@pytest.fixture
def extract(conf, tmp_path, monkeypatch):
    """`extract(net, trained)`: the features of the video that the command writes (T, C).

    net: as configured; trained: as in the checkpoint.
    """

    def extract(net, trained):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        torch.save(trained.state_dict(), folder / "net.pt")
        monkeypatch.setattr(build, "build_net", lambda _: net)
        extract_run(replace(conf, checkpoint=str(folder / "net.pt"), out=str(folder / "out")))
        return torch.from_numpy(np.load(folder / "out" / "v.npz")["feature"]).float()

    return extract


def randomised(net, seed):
    torch.manual_seed(seed)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    return net.eval()


def clips_of_windows(conf, video):
    """(5, 1, 3, 32, 32, 3): five windows of three frames, each two frames after the last."""
    pipeline = Pipeline(build.build_steps(conf.data, "val"))
    with VideoReader(accurate=True).open(str(video)) as source:
        plan = pipeline.plan(source.width, source.height, np.random.default_rng(0))
        frames = [source.read([2 * k, 2 * k + 1, 2 * k + 2], plan) for k in range(5)]
    return torch.from_numpy(np.stack(frames))[:, None]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_window_has_one_feature_which_is_what_its_classifier_sees(extract, conf, video, name):
    make, classifier = NETWORKS[name]
    net = randomised(make(4), seed=0)
    found = features = extract(net, net)
    clips = clips_of_windows(conf, video)
    with torch.no_grad():
        if classifier:
            found = net.get_submodule(classifier)(features)
            expected = net({"video": clips})["logits"][:, 0]
        else:
            maps = net.backbone(net.normalise(clips).flatten(0, 2))
            expected = maps.mean(dim=(2, 3)).unflatten(0, (5, 3)).mean(dim=1)
    assert len(features) == 5
    assert features.std(dim=0).max() > 0.01
    torch.testing.assert_close(found, expected, rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("name", ["TSM", "TRN", "X3D", "OmniSource", "torchvision"])
def test_features_of_a_network_for_other_classes_are_the_same(extract, name):
    make, _ = NETWORKS[name]
    trained = randomised(make(4), seed=0)
    torch.testing.assert_close(
        extract(randomised(make(7), seed=1), trained), extract(trained, trained)
    )


@pytest.mark.parametrize(
    ("net", "trained", "message"),
    [
        (NETWORKS["TSN"][0], NETWORKS["I3D"][0], "would stay random"),
        (NETWORKS["TPN"][0], lambda k: deep("levels", I3DHead(k, 32)), "would stay random"),
        (NETWORKS["X3D"][0], lambda k: deep("map", X3DHead(k, 8, 5)), r"depend on cls_head\.fc1"),
        (NETWORKS["OmniSource"][0], NETWORKS["X3D"][0], r"depend on cls_head\.fc3d\.2"),
    ],
)
def test_a_random_layer_before_the_features_is_refused(extract, net, trained, message):
    with pytest.raises(ValueError, match=message):
        extract(net(4), trained(4))


@pytest.mark.parametrize("rows", [0, 1])
def test_a_head_whose_last_layer_is_no_classifier_is_refused(extract, rows):
    """It is not used, or once for all clips."""

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(8, 4)

        def forward(self, features):
            if rows:
                self.last(features[:1])
            return features[:, :4]

    net = network(Recognizer3D, Clips("vector"), Head())
    net.max_test_images = 100
    with pytest.raises(ValueError, match=rf"cls_head\.last is .* is given {rows} rows for 5 views"):
        extract(net, net)


def test_features_that_are_not_finite_are_refused(extract, video):
    net = flat(TSNHead(4, 8))
    nn.init.constant_(net.backbone.conv.bias, 1e5)  # more than float16 holds
    with pytest.raises(ValueError, match=rf"{video}: features are not finite, or too large"):
        extract(net, net)
