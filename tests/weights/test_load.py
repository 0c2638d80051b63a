"""Finding, opening, converting and loading weights of torchvision, timm and others."""

import functools
import hashlib
import http.server
import os
import pickle
import re
import socket
import threading
import time
import warnings
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from tests.paths import GOLDEN
from vidrec.files.checkpoint_files import open_checkpoint
from vidrec.models.backbones.resnet import ResNet
from vidrec.models.heads.tsn import TSNHead
from vidrec.models.recognizer import Recognizer2D
from vidrec.weights import sources
from vidrec.weights.convert import Found, dense_layers, swin_stages
from vidrec.weights.load import load_all, load_weights, publish, read_weights

FIGURES = GOLDEN / "weights"  # see test_unpickle.py


def recognizer(num_classes=5, channels=3):
    """Half a TSN with ResNet-18."""
    backbone = ResNet(depth=18, in_channels=channels, num_stages=2)
    return Recognizer2D(backbone, TSNHead(num_classes, in_channels=128), mean=[0.0], std=[1.0])


class TorchvisionResNet(torchvision.models.ResNet):
    """The same half as torchvision has it, so with its names; gives what its pooling receives."""

    def __init__(self):
        super().__init__(torchvision.models.resnet.BasicBlock, [2, 2, 0, 0])
        del self.layer3, self.layer4

    def forward(self, x):
        return self.layer2(self.layer1(self.maxpool(self.bn1(self.conv1(x)).relu())))


def randomized(net):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in net.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.2 + 0.05)
    return net.eval()


@pytest.fixture
def classifier():
    return randomized(TorchvisionResNet())


def same_state(net, other):
    return all(torch.equal(a, b) for a, b in zip(net.values(), other.values(), strict=True))


def save(content, path, **options):
    torch.save(content, path, **options)
    return path


# Conversion


def test_a_torchvision_classifier_becomes_the_backbone(classifier, tmp_path):
    net = recognizer().eval()
    head = net.cls_head.fc_cls.weight.clone()
    report = load_weights(net, save(classifier.state_dict(), tmp_path / "r.pth"))
    clip = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(net.backbone(clip), classifier(clip), rtol=0, atol=0)
    assert torch.equal(net.cls_head.fc_cls.weight, head)
    assert report.backbone == 1.0
    assert report.missing == ["cls_head.fc_cls.weight", "cls_head.fc_cls.bias"]
    assert report.unused == ["fc.weight", "fc.bias"]
    assert "+backbone." in str(report)
    assert "unused 2: fc.weight, fc.bias" in str(report)


PREFIXES = (
    "", "module.", "_orig_mod.", "backbone.", "module.backbone.", "ema.", "_forward_module.",
    "base_model.model.", "module.encoder_q.", "a.prefix.nobody.knows.",
)  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("bare", [True, False])
def test_prefixes_of_wrappers_are_removed(classifier, tmp_path, prefix, bare):
    state = {prefix + name: tensor for name, tensor in classifier.state_dict().items()}
    net = recognizer()
    report = load_weights(net.backbone if bare else net, save(state, tmp_path / "r.pth"))
    assert report.backbone == 1.0
    short = classifier.layer2[0].downsample
    assert torch.equal(net.backbone.layer2[0].downsample.bn.weight, short[1].weight)


@pytest.mark.parametrize("wrapper", ["_orig_mod", "_fsdp_wrapped_module"])
def test_names_of_wrapped_modules_inside_are_removed(tmp_path, wrapper):
    donor, net = randomized(recognizer()), recognizer()
    state = {
        re.sub(r"(layer\d\.\d|cls_head)\.", rf"\1.{wrapper}.", name): tensor
        for name, tensor in donor.state_dict().items()
    }
    assert f"backbone.layer1.0.{wrapper}.conv1.conv.weight" in state
    report = load_weights(net, save(state, tmp_path / "r.pth"))
    assert (report.missing, report.unused) == ([], [])
    assert same_state(net.state_dict(), donor.state_dict())


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize(
    ("plain", "mean"),
    [("student", "teacher"), ("model", "ema_model"), ("context_encoder", "target_encoder")],
)
def test_of_two_networks_that_fit_the_averaged_one_is_taken_and_said(
    classifier, tmp_path, plain, mean, nested
):
    states = {
        key: {f"backbone.{name}": torch.full_like(t, value) for name, t in tensors.items()}
        for key, value in {plain: 1, mean: 2}.items()
        for tensors in [classifier.state_dict()]
    }
    content = states
    if not nested:
        content = {f"{k}.{name}": t for k, tensors in states.items() for name, t in tensors.items()}
    path = save({**content, "epoch": 3}, tmp_path / "dino.pth")
    dot = "" if nested else "."
    for averaged, taken, other in ((True, mean, plain), (False, plain, mean)):
        net = recognizer()
        report = load_weights(net, path, averaged=averaged)
        assert net.backbone.conv1.conv.weight.unique() == (2 if averaged else 1)
        assert f"taken {taken}{dot}; others in the file: {other}{dot}" in str(report)


def test_the_state_dict_that_fits_is_taken_whatever_it_is_called(tmp_path):
    donor, net = randomized(recognizer()), recognizer()
    text = {f"layers.{i}.weight": torch.zeros(2) for i in range(400)}
    content = {"state_dict": text, "vision": donor.state_dict(), "optimizer": {"lr": 0.1}}
    report = load_weights(net, save(content, tmp_path / "both.pth"))
    assert same_state(net.state_dict(), donor.state_dict())
    assert (report.taken, report.others) == ("vision", ["state_dict"])
    alone = load_weights(net, save({"state_dict": donor.state_dict()}, tmp_path / "one.pth"))
    assert "taken" not in str(alone)


def test_weights_of_ours_fit_a_torchvision_backbone(classifier, tmp_path):
    net, ours = nn.Module(), randomized(recognizer())
    net.backbone = classifier
    nn.init.zeros_(classifier.layer1[0].conv1.weight)
    load_weights(net, save({"state_dict": ours.state_dict()}, tmp_path / "r.pth"), min_backbone=0.9)
    clip = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours.backbone(clip), classifier(clip), rtol=0, atol=0)


def test_flow_starts_from_the_mean_over_rgb(classifier, tmp_path):
    net = recognizer(channels=10).eval()
    report = load_weights(net, save(classifier.state_dict(), tmp_path / "r.pth"))
    assert report.backbone == 1.0
    assert report.reshaped == ["backbone.conv1.conv.weight (64, 3, 7, 7) -> (64, 10, 7, 7)"]
    # Ten equal channels then weigh as much as RGB of 10/3 of that value.
    grey = torch.rand(2, 1, 32, 32)
    ours = net.backbone.conv1.conv(grey.expand(-1, 10, -1, -1))
    rgb = classifier.conv1(grey.expand(-1, 3, -1, -1) * 10 / 3)
    torch.testing.assert_close(ours, rgb, rtol=1e-5, atol=1e-3)


def test_an_inflated_net_sees_a_still_clip_as_its_frame(tmp_path):
    flat = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 1))
    deep = nn.Sequential(nn.Conv3d(3, 4, (3, 3, 3)), nn.ReLU(), nn.Conv3d(4, 5, (2, 1, 1)))
    report = load_weights(deep, save(flat.state_dict(), tmp_path / "f.pth"))
    assert report.reshaped == [
        "0.weight (4, 3, 3, 3) -> (4, 3, 3, 3, 3)",
        "2.weight (5, 4, 1, 1) -> (5, 4, 2, 1, 1)",
    ]
    frame = torch.randn(1, 3, 8, 8)
    clip = frame[:, :, None].expand(-1, -1, 4, -1, -1)
    torch.testing.assert_close(deep(clip)[:, :, 0], flat(frame))


@pytest.mark.slow
@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_every_resnet_of_torchvision_gives_the_same_features(tmp_path, depth):
    theirs = torchvision.models.get_model(f"resnet{depth}").eval()
    ours = ResNet(depth=depth).eval()
    path = save(theirs.state_dict(), tmp_path / "r.pth")
    assert load_weights(ours, path, min_backbone=1.0).unused == ["fc.weight", "fc.bias"]
    image = torch.randn(1, 3, 64, 64)
    theirs.avgpool, theirs.fc = nn.Identity(), nn.Identity()
    torch.testing.assert_close(ours(image).flatten(1), theirs(image))


def test_channels_and_time_are_both_made_where_both_differ(tmp_path):
    flat, deep = nn.Conv2d(3, 4, 3), nn.Conv3d(2, 4, (5, 3, 3))
    load_weights(deep, save(flat.state_dict(), tmp_path / "f.pth"))
    expected = flat.weight.mean(dim=1, keepdim=True).expand(-1, 2, -1, -1)
    torch.testing.assert_close(deep.weight.sum(dim=2), expected)


def test_old_densenet_names_are_those_that_torchvision_makes_of_them():
    from torchvision.models import densenet

    net = densenet.DenseNet(4, (2, 2), 8)
    now = randomized(net).state_dict()
    before = {
        n.replace("norm1.", "norm.1.").replace("norm2.", "norm.2.").replace("conv1.", "conv.1.")
        .replace("conv2.", "conv.2.") if "denselayer" in n else n: t
        for n, t in now.items() if "num_batches" not in n
    }  # fmt: skip
    assert "features.denseblock1.denselayer1.norm.1.weight" in before

    class Weights:
        def get_state_dict(self, **_):
            return dict(before)

    other = densenet.DenseNet(4, (2, 2), 8)
    densenet._load_state_dict(other, Weights(), progress=False)
    assert same_state(other.state_dict(), now)
    assert dense_layers(before, {}).keys() == {n for n in now if "num_batches" not in n}


def test_old_swin_stages_are_those_that_timm_makes_of_them():
    from timm.models import swin_transformer

    net = swin_transformer.SwinTransformer(
        img_size=32, patch_size=2, window_size=4, embed_dim=8, depths=(1, 1, 1), num_heads=(1, 2, 2)
    )
    now = net.state_dict()
    before = {
        n.replace("layers.1.downsample", "layers.0.downsample").replace(
            "layers.2.downsample", "layers.1.downsample"
        ): t
        for n, t in now.items()
        if "head" not in n
    }
    by_timm = swin_transformer.checkpoint_filter_fn(dict(before), net)
    assert {n for n in swin_stages(before, {}) if "head" not in n} == {
        n for n in by_timm if "head" not in n
    }


# Refusal


def test_names_that_differ_only_in_a_prefix_are_kept_apart(tmp_path):
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    state = {"0.weight": torch.ones(1, 1), "encoder.0.weight": torch.zeros(1, 1)}
    state |= {"encoder.1.weight": torch.zeros(1, 1)}
    report = load_weights(net, save(state, tmp_path / "two.pth"), min_backbone=0)
    assert net[0].weight == 1
    assert report.missing == ["1.weight"]


def test_a_name_of_nothing_but_wrappers_takes_no_time(tmp_path):
    path = save({"net." * 20_000 + "weight": torch.zeros(1)}, tmp_path / "r.pth")
    started = time.process_time()
    with pytest.raises(ValueError, match=r"r\.pth matches 0"):
        load_weights(nn.Linear(1, 1), path)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("wrong", ["names", "shapes", "kind"])
def test_a_backbone_that_hardly_matches_is_refused_and_nothing_loaded(classifier, tmp_path, wrong):
    state = classifier.state_dict()
    if wrong == "names":
        state = {name.replace("layer2", "stage2"): t for name, t in state.items()}
    elif wrong == "shapes":
        state = {name: t[:-1] if "layer2" in name and t.ndim else t for name, t in state.items()}
    else:
        state = {name: t.to(torch.int8) if "layer2" in name else t for name, t in state.items()}
    net = randomized(recognizer())
    before = {name: t.clone() for name, t in net.state_dict().items()}
    path = save(state, tmp_path / "r.pth")
    with pytest.raises(ValueError, match=r"50\.0 %.*layer2.*model\.min_backbone=0") as error:
        load_weights(net, path)
    assert "\n" not in str(error.value)
    assert same_state(net.state_dict(), before)
    report = load_weights(net, path, min_backbone=0)
    assert report.backbone == 0.5
    assert torch.equal(net.backbone.layer1[0].conv1.bn.bias, classifier.layer1[0].bn1.bias)
    assert torch.equal(
        net.backbone.layer2[0].conv1.bn.bias, before["backbone.layer2.0.conv1.bn.bias"]
    )


def test_a_head_with_other_classes_is_kept_and_reported(tmp_path):
    donor, net = randomized(recognizer(num_classes=400)), recognizer(num_classes=5)
    report = load_weights(net, save({"state_dict": donor.state_dict()}, tmp_path / "a.pth"))
    assert report.missing == ["cls_head.fc_cls.weight", "cls_head.fc_cls.bias"]
    assert "cls_head.fc_cls.weight (400, 128), in the network (5, 128)" in str(report)


def test_backbone_only_leaves_a_head_that_would_fit(tmp_path):
    donor, net = randomized(recognizer()), recognizer()
    head = net.cls_head.fc_cls.weight.clone()
    path = save(donor.state_dict(), tmp_path / "a.pth")
    load_weights(net, path, backbone_only=True)
    assert torch.equal(net.cls_head.fc_cls.weight, head)
    load_weights(net, path)
    assert torch.equal(net.cls_head.fc_cls.weight, donor.cls_head.fc_cls.weight)


def test_counters_of_batch_norm_are_not_missed(tmp_path):
    donor = randomized(recognizer())
    state = {n: t for n, t in donor.state_dict().items() if "num_batches_tracked" not in n}
    report = load_weights(recognizer(), save(state, tmp_path / "a.pth"), min_backbone=1.0)
    assert (report.missing, report.unused) == ([], [])


def test_weights_that_are_not_finite_are_refused_unless_asked_for(classifier, tmp_path):
    state = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    state["layer1.0.bn1.running_var"][3] = torch.nan
    state["layer2.0.conv1.weight"] = state["layer2.0.conv1.weight"].double() * 1e300
    state["fc.weight"][0] = torch.inf  # not loaded
    path = save(state, tmp_path / "r.pth")
    net = randomized(recognizer())
    before = {name: t.clone() for name, t in net.state_dict().items()}
    names = "backbone.layer1.0.conv1.bn.running_var, backbone.layer2.0.conv1.conv.weight"
    message = rf"{path} has weights that are not finite: {names}; .*model\.allow_non_finite=true"
    with pytest.raises(ValueError, match=message):
        load_weights(net, path)
    assert same_state(net.state_dict(), before)
    report = load_weights(net, path, allow_non_finite=True)
    assert f"non-finite 2: {names}" in str(report)
    assert net.backbone.layer1[0].conv1.bn.running_var.isnan().sum() == 1


def test_constants_may_be_infinite(tmp_path):
    """Masks of attention are."""

    class Masked(nn.Linear):
        def __init__(self):
            super().__init__(2, 2)
            self.register_buffer("mask", torch.full((2, 2), -torch.inf))

    path = save(Masked().state_dict(), tmp_path / "m.pth")
    assert load_weights(Masked(), path, min_backbone=1.0).non_finite == []


# Containers


def containers(state):
    """How publishers wrap the same tensors."""
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    return {
        "raw": state,
        "vidrec": {"net": state, "ema": None, "optimizer": {"state": {0: {}}}, "epoch": 3},
        "mmaction2": {"meta": {"epoch": 1}, "state_dict": state},
        "pyslowfast": {"model_state": state, "optimizer_state": {"state": state}, "cfg": "A: 1"},
        "deit": {"model": state},
        "videomae": {"module": {f"module.{name}": t for name, t in state.items()}},
        "nested": {"checkpoint": {"weights": state}, "step": torch.tensor(1)},
        "caffe2": {"blobs": arrays},
    }


@pytest.mark.parametrize("kind", list(containers({})))
@pytest.mark.parametrize("writer", ["zip", "legacy", "pickle"])
def test_every_container_gives_the_same_weights(tmp_path, kind, writer):
    donor, net = randomized(recognizer()), recognizer()
    content = containers(donor.state_dict())[kind]
    path = tmp_path / "weights.pyth"
    if writer == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        save(content, path, _use_new_zipfile_serialization=writer == "zip")
    assert load_weights(net, str(path)).missing == []
    assert same_state(net.state_dict(), donor.state_dict())


def test_safetensors_whatever_the_length_of_their_header(tmp_path):
    donor = randomized(recognizer())
    for length in range(3):  # the file begins with its header's length, of which any byte may be
        net, path = recognizer(), tmp_path / f"{length}.safetensors"
        save_file(donor.state_dict(), path, metadata={"x": "x" * 8 * length})
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        pad = (ord("<") - size) % 256  # as a web page begins
        header = (size + pad).to_bytes(8, "little") + data[8 : 8 + size] + b" " * pad
        path.write_bytes(header + data[8 + size :])
        assert path.read_bytes()[:1] == b"<"
        load_weights(net, path)
        assert same_state(net.state_dict(), donor.state_dict())


@pytest.mark.parametrize("key", ["ema", "state_dict_ema"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_averaged_weights_are_preferred_and_buffers_completed(tmp_path, key, prefix):
    net, averaged = recognizer(), randomized(recognizer())
    state = {n: torch.zeros_like(t) for n, t in averaged.state_dict().items()}
    mean = {prefix + n: p for n, p in averaged.named_parameters()}
    path = save({"net": state, key: {"decay": 0.9, "net": mean}}, tmp_path / "last.pt")
    load_weights(net, path)
    assert torch.equal(net.cls_head.fc_cls.weight, averaged.cls_head.fc_cls.weight)
    assert net.backbone.conv1.bn.running_mean.abs().sum() == 0
    load_weights(net, path, averaged=False)
    assert net.cls_head.fc_cls.weight.abs().sum() == 0


@pytest.mark.parametrize("name", ["mmengine.pth", "mmengine_legacy.pth"])
def test_a_checkpoint_from_within_a_training_of_mmaction2(name):
    net = nn.Module()
    net.backbone = nn.Sequential(OrderedDict(conv1=nn.Conv2d(3, 2, 3), bn1=nn.BatchNorm2d(2)))
    load_weights(net, FIGURES / name, min_backbone=1.0)
    assert torch.equal(net.backbone.conv1.weight, torch.arange(54.0).reshape(2, 3, 3, 3))


def test_published_weights_are_the_weights_and_named_by_their_hash(tmp_path):
    donor, net = randomized(recognizer()), recognizer()
    last = save({"net": donor.state_dict(), "optimizer": {"x": [1]}}, tmp_path / "last.pt")
    path = publish(last, str(tmp_path / "out" / "tsn"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert path.name == f"tsn-{digest}.pth"
    load_weights(net, path)
    assert same_state(net.state_dict(), donor.state_dict())


# Files that are not weights


class Hostile:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("writer", ["zip", "legacy", "pickle"])
def test_a_hostile_file_is_refused_by_name_and_does_nothing(tmp_path, writer):
    trace, path = tmp_path / "trace", tmp_path / "evil.pth"
    content = {"state_dict": recognizer().state_dict(), "x": Hostile(trace)}
    if writer == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        save(content, path, _use_new_zipfile_serialization=writer == "zip")
    with pytest.raises(ValueError, match=r"evil\.pth was not opened: it refers to \w+\.mkdir"):
        load_weights(recognizer(), path)
    assert not trace.exists()


def scripted(net, path):
    with warnings.catch_warnings(action="ignore"):  # TorchScript is deprecated, its files are there
        torch.jit.script(net).save(str(path))
    return path


def test_a_torchscript_program_gives_its_weights(tmp_path):
    flat = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Linear(4, 2)))
    randomized(flat).half()
    path = scripted(flat, tmp_path / "model.pt")
    state = read_weights(path)
    assert {n: t.dtype for n, t in state.items()} == {
        n: t.dtype for n, t in flat.state_dict().items()
    }
    assert all(torch.equal(t, state[n]) for n, t in flat.state_dict().items())


def test_a_torchscript_program_is_neither_run_nor_trusted(tmp_path):
    path = scripted(nn.Linear(2, 2), tmp_path / "model.pt")
    hostile = tmp_path / "hostile.pt"
    with zipfile.ZipFile(path) as given, zipfile.ZipFile(hostile, "w") as made:
        for name in given.namelist():
            data = given.read(name)
            if name.endswith("/data.pkl"):
                data = b"cposix\nsystem\n(S'touch hacked'\ntR."
            if "/code/" in name:
                data = b"not a program"
            made.writestr(name, data)
    with pytest.raises(ValueError, match=r"was not opened: it refers to posix\.system"):
        open_checkpoint(hostile)


def damaged(path, data):
    path.write_bytes(data)
    return path


def test_other_files_than_checkpoints_are_refused_in_a_sentence(tmp_path):
    net = recognizer()
    whole = save({"state_dict": net.state_dict()}, tmp_path / "z").read_bytes()
    legacy = save(
        {"state_dict": net.state_dict()}, tmp_path / "l", _use_new_zipfile_serialization=False
    ).read_bytes()
    save_file(net.state_dict(), tmp_path / "s")
    tensors = (tmp_path / "s").read_bytes()
    cases = {
        "truncated or corrupt": [
            *(whole[:-1000], whole[:1000], legacy[:-1000], legacy[:500], legacy[:30]),
            *(tensors[:-1000], b"PK\x03\x04", b"\x80\x02", b"\x80garbage"),
        ],
        "is empty": [b""],
        "is a web page": [b"<!DOCTYPE html><html></html>", b"\n  <?xml version='1.0'?><Error/>"],
        "Git LFS": [b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"],
        "is not a checkpoint": [b'{"error": 404}', b"\x7fELF"],
        "contains no named tensors": [pickle.dumps({"epoch": 3}), pickle.dumps([1])],
    }
    for text, contents in cases.items():
        for number, content in enumerate(contents):
            path = damaged(tmp_path / f"weights{number}.pth", content)
            with pytest.raises(ValueError, match=text) as error:
                load_weights(net, path)
            message = str(error.value)
            assert str(path) in message
            assert "\n" not in message
            assert len(message) < 600


def test_a_missing_file_names_its_neighbour(tmp_path):
    save({}, tmp_path / "best.pt")
    with pytest.raises(ValueError, match=r"did you mean 'best\.pt'"):
        load_weights(recognizer(), tmp_path / "bets.pt")
    with pytest.raises(ValueError, match=r"is a folder.*best\.pt"):
        load_weights(recognizer(), tmp_path)
    with pytest.raises(ValueError, match="unknown scheme 'mmcls://'"):
        load_weights(recognizer(), "mmcls://mobilenet_v2")


# Downloads


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home" / "hub" / "checkpoints"


@pytest.fixture
def server(tmp_path):
    """Serves tmp_path/site; notes what was asked; `short` answers end before their time."""
    site = tmp_path / "site"
    site.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

        def copyfile(self, source, target):
            data = source.read()
            target.write(data[:-100] if "short" in self.path else data)

    asked = []
    handler = functools.partial(Handler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield site, f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


def test_a_url_is_fetched_once_whole_and_checked(hub, server):
    site, url, asked = server
    donor = randomized(recognizer())
    plain = save(donor.state_dict(), site / "plain.pth")
    digest = hashlib.sha256(plain.read_bytes()).hexdigest()[:8]
    name = f"tsn_20220901-{digest}.pth"
    (site / name).write_bytes(plain.read_bytes())
    for _ in range(2):
        net = recognizer()
        load_weights(net, f"{url}/{name}")
        assert same_state(net.state_dict(), donor.state_dict())
    assert asked == [f"/{name}"]
    assert [p.name for p in hub.iterdir()] == [name]


def test_a_cached_file_is_checked_again_whenever_it_is_opened(hub, server):
    site, url, asked = server
    state = recognizer().state_dict()
    legacy = save(state, site / "legacy.pth", _use_new_zipfile_serialization=False)
    data = legacy.read_bytes()
    name = f"tsn-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    legacy.rename(site / name)
    read_weights(f"{url}/{name}")
    (hub / name).write_bytes(data[:-9] + b"\1" + data[-8:])
    with pytest.raises(ValueError, match=rf"{hub / name} is damaged.*delete it and download it"):
        read_weights(f"{url}/{name}")
    (hub / name).unlink()
    assert same_state(read_weights(f"{url}/{name}"), state)
    assert asked == [f"/{name}"] * 2


def test_urls_with_the_same_file_name_do_not_collide_in_the_cache(hub, server):
    site, url, _ = server
    for folder, value in (("a", 1.0), ("b", 2.0)):
        (site / folder).mkdir()
        save({"w": torch.full((2,), value)}, site / folder / "model.pth")
    assert read_weights(f"{url}/a/model.pth")["w"][0] == 1
    assert read_weights(f"{url}/b/model.pth")["w"][0] == 2


def test_downloads_that_fail_leave_nothing_and_say_why(hub, server):
    site, url, _ = server
    save({"w": torch.zeros(200)}, site / "wrong-01234567.pth")
    save({"w": torch.zeros(200)}, site / "short.pth")
    (site / "page.pth").write_text("<html>please log in</html>")
    (site / "empty.pth").write_text("")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/a.pth"
    for address, text in {
        f"{url}/wrong-01234567.pth": "01234567",
        f"{url}/short.pth": "ended after",
        f"{url}/page.pth": "web page",
        f"{url}/empty.pth": "0 of 0",
        f"{url}/none.pth": "404",
        closed: "Connection refused",
    }.items():
        with pytest.raises(ValueError, match=text) as error:
            load_weights(recognizer(), address)
        assert address in str(error.value)
        assert "model.weights=null" in str(error.value)
        with pytest.raises(ValueError, match=text) as error:
            load_all(recognizer(), address)  # of a trained network, to evaluate it
        assert "scratch" not in str(error.value)
        assert list(hub.iterdir()) == []


def test_a_file_url_is_that_file(hub, tmp_path):
    path = save({"w": torch.ones(1)}, tmp_path / "with space.pth")
    assert read_weights(path.as_uri())["w"] == 1
    assert not hub.exists()


def test_torchvision_names_mean_the_first_published_weights(tmp_path, monkeypatch):
    # Names of the published files, as torchvision documents them.
    published = {
        "resnet50-0676ba61.pth": save({"w": torch.tensor(1.0)}, tmp_path / "1.pth"),
        "resnet50-11ad3fa6.pth": save({"w": torch.tensor(2.0)}, tmp_path / "2.pth"),
        "r3d_18-b3b3357e.pth": save({"w": torch.tensor(3.0)}, tmp_path / "3.pth"),
    }
    monkeypatch.setattr(sources, "download", lambda url: published[url.rpartition("/")[2]])
    for name, value in {
        "resnet50": 1,
        "resnet50.IMAGENET1K_V1": 1,
        "resnet50.imagenet1k_v2": 2,
        "r3d_18": 3,
    }.items():
        assert read_weights(f"torchvision://{name}")["w"] == value
    with pytest.raises(ValueError, match="did you mean 'resnet50'"):
        read_weights("torchvision://resnet051")
    with pytest.raises(ValueError, match="IMAGENET1K_V1, IMAGENET1K_V2"):
        read_weights("torchvision://resnet50.KINETICS")


def test_timm_names_give_what_timm_loads(tmp_path, monkeypatch):
    import timm

    donor = randomized(timm.create_model("test_resnet", pretrained=False))
    path = save(donor.state_dict(), tmp_path / "timm.pth")
    create = functools.partial(timm.create_model, pretrained_cfg_overlay={"file": str(path)})
    monkeypatch.setattr(timm, "create_model", create)
    net = nn.Module()
    net.backbone = timm.create_model("test_resnet", num_classes=0)
    report = load_weights(net, "timm://test_resnet")
    assert report.backbone == 1.0
    image = torch.randn(1, 3, 64, 64)
    expected = donor.forward_head(donor.forward_features(image), pre_logits=True)
    torch.testing.assert_close(net.backbone.eval()(image), expected)
    with pytest.raises(ValueError, match="did you mean 'resnet18'"):
        load_weights(net, "timm://rsenet18")


def test_numpy_arrays_of_either_byte_order_become_tensors(tmp_path):
    blobs = {"a_w": np.arange(3, dtype=">f4"), "lr": np.float32(1), "names": np.array(["x"])}
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"blobs": blobs}, protocol=2))
    weights = read_weights(path)
    assert list(weights) == ["a_w"]
    assert torch.equal(weights["a_w"], torch.arange(3.0))


# Published starts


@pytest.mark.slow
def test_every_image_network_that_an_experiment_starts_from_matches_as_it_says(compose):
    """The networks of torchvision and timm on the meta device in place of their weights."""
    import timm

    from vidrec import build
    from vidrec.commands.zoo import experiments
    from vidrec.weights import load as weights

    seen = set()
    for name in sorted(experiments()):
        conf = compose(f"experiment={name}")
        kind, separator, source = (conf.model.weights or "").partition("://")
        key = (str(conf.model.net.get("backbone")), source)
        if not separator or kind not in ("torchvision", "timm") or key in seen:
            continue
        seen.add(key)
        with torch.device("meta"):
            net = build.build_net(conf.model)
            make = torchvision.models.get_model if kind == "torchvision" else timm.create_model
            state = make(source.split(".")[0]).state_dict()
        constants = weights._constants(net)
        report, new = weights._match(name, [Found("", state)], net.state_dict(), constants)
        wanted = [n for n in new if n.startswith("backbone.") and "num_batches" not in n]
        in_net = [
            n
            for n in net.state_dict()
            if n.startswith("backbone.") and "num_batches" not in n and n not in constants
        ]
        assert len(set(wanted) & set(in_net)) / len(in_net) >= conf.model.min_backbone, name
        assert all(re.match(r"(fc|head|classifier)\b", n) for n in report.unused), name
