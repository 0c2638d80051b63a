"""Models give the reference's figures, and tests/parity/parity.py tells when they do not.

tests/golden/models: figures computed with MMAction2 1.2.0 (torch 2.13, float64), weights filled by
the rule that tests/parity/parity.py describes.
"""

import gzip
import json

import pytest
import torch

from tests.parity import parity
from tests.paths import GOLDEN

FIGURES = GOLDEN / "models"
AUDIO = "tsn_r18_8xb320-64x1x1-100e_kinetics400-audio-feature"
AUDIO_OVERRIDES = [
    "model=tsn",
    "model.net.backbone.depth=18",
    "model.channels=1",
    "data.channels=1",
    "model.net.cls_head.in_channels=512",
    "model.net.cls_head.joint_views=false",
]
STEMS = sorted(path.name.removesuffix(".json.gz") for path in FIGURES.iterdir())
STEMS.remove(AUDIO)  # an architecture that no recipe has
DETECTORS = [stem for stem in STEMS if "_ava" in stem or "multisports" in stem]
ONE_A_FAMILY = {stem.split("_")[0]: stem for stem in DETECTORS}.values()
FAST = (
    "tsn_imagenet-pretrained-mobileone-s4_deploy",
    "tsm_imagenet-pretrained-mobilenetv2",
    "tin_imagenet",
    "trn_",
    "x3d_s",
    "bsn_",
)
TRAINED = ("timesformer", "mvit", "swin-tiny", "uniformer-small")  # a training step as well


def figures(stem):
    """Figures that the file of this stem holds."""
    if stem in DETECTORS:
        return {"cls_score", "pred_scores", "pred_bboxes"}
    if stem.startswith("bmn"):
        return {"start", "end", "map_norm", "loss", "grad_norm"}
    if stem.startswith("bsn"):
        return {"iou"} if "pem" in stem else {"outputs", "loss", "grad_norm"}
    if stem.startswith("vit"):
        return {"logits", "constants"}
    return {"logits"} | ({"loss", "grad_norm"} if stem.startswith(TRAINED) else set())


def run(capsys, stem, *arguments):
    status = parity.main(["--golden", str(FIGURES / f"{stem}.json.gz"), *arguments])
    return status, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_audio_network_and_its_training_step(capsys):
    status, report = run(capsys, AUDIO, *AUDIO_OVERRIDES)
    assert status == 0, report
    compared = {"logits", "avg_score", "avg_prob", "loss", "grad_norm", "running_mean"}
    assert compared <= set(report["differences"])


@pytest.mark.parametrize(
    "stem",
    [pytest.param(stem, marks=() if stem.startswith(FAST) else pytest.mark.slow) for stem in STEMS],
)
def test_published_recipe(capsys, stem):
    """The experiment that is named as the file."""
    status, report = run(capsys, stem)
    assert status == 0, report
    assert figures(stem) <= set(report["differences"])


@pytest.mark.parametrize(
    "stem",
    [
        pytest.param(stem, marks=() if stem in ONE_A_FAMILY else pytest.mark.slow)
        for stem in DETECTORS
    ],
)
def test_published_names_and_shapes_of_detectors(stem):
    """On the meta device, so that nothing is computed."""
    golden = json.loads(gzip.decompress((FIGURES / f"{stem}.json.gz").read_bytes()))
    with torch.device("meta"):
        net = parity.build_net(parity.composed(golden | {"key": stem}, None, []).model)
    ours = {name: list(tensor.shape) for name, tensor in net.state_dict().items()}
    assert ours == {name: shape for name, shape, _ in golden["state_dict"]}
    trained = sum(p.numel() for p in net.parameters() if p.requires_grad)
    assert trained == golden["n_trainable"]


def test_a_difference_past_the_tolerance_fails(capsys):
    """Views of the audio network are softmaxed apart; joined, only avg_prob differs."""
    status, report = run(capsys, AUDIO, *AUDIO_OVERRIDES[:-1])
    assert status == 1
    past = [name for name, value in report["differences"].items() if value > 1e-9]
    assert past == ["avg_prob"]


def test_another_architecture_fails_by_name(capsys):
    overrides = [*AUDIO_OVERRIDES, "model.net.backbone.num_stages=3"]
    overrides[4] = "model.net.cls_head.in_channels=256"
    status, report = run(capsys, AUDIO, *overrides)
    assert status == 1
    assert "backbone.layer4.1.conv2.bn.weight" in report["missing"]
    assert report["differing"] == ["cls_head.fc_cls.weight"]


def test_figures_of_an_unknown_kind_are_named(capsys, tmp_path):
    path = tmp_path / "detector.json.gz"
    with gzip.open(path, "wt") as file:
        json.dump({"state_dict": [], "proposals": [[0, 0, 1, 1]]}, file)
    assert parity.main(["--golden", str(path)]) == 2
    assert "proposals" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "shape", "expected"),
    [
        ("a.weight", (2, 2), [-1.069786, 0.686203, 0.507773, 0.205239]),
        ("bn.weight", (2,), [1.089468, 0.900284]),
        ("bn.running_var", (2,), [1.09166, 1.050953]),
        ("bn.running_mean", (2,), [0.060754, 0.147202]),
        ("fc.bias", (2,), [0.080116, -0.040339]),
    ],
)
def test_filled_values(key, shape, expected):
    """Values printed by the script that filled the reference's weights."""
    torch.testing.assert_close(
        parity.value(key, shape).flatten(), torch.tensor(expected), atol=1e-6, rtol=0
    )
