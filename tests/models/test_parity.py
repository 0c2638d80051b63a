"""Models give the reference's figures, and benchmarks/parity.py tells when they do not.

tests/golden/models: figures computed with MMAction2 1.2.0 (torch 2.13, float64), weights filled by
the rule that benchmarks/parity.py describes.
"""

import gzip
import importlib.util
import json
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "models"
AUDIO = "tsn_r18_8xb320-64x1x1-100e_kinetics400-audio-feature"
AUDIO_OVERRIDES = [
    "model=tsn",
    "model.net.backbone.depth=18",
    "model.channels=1",
    "data.channels=1",
    "model.net.cls_head.in_channels=512",
    "model.net.cls_head.joint_views=false",
]
FAST = "tsn_imagenet-pretrained-mobileone-s4_deploy_8xb32-1x1x8-100e_kinetics400-rgb"
SLOW = sorted(p.name.split(".")[0] for p in GOLDEN.glob("tsn_imagenet*") if FAST not in p.name)


@pytest.fixture(scope="module")
def parity():
    spec = importlib.util.spec_from_file_location("parity", ROOT / "benchmarks" / "parity.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(parity, capsys, stem, *arguments):
    status = parity.main(["--golden", str(GOLDEN / f"{stem}.json.gz"), *arguments])
    return status, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_audio_network_and_its_training_step(parity, capsys):
    status, report = run(parity, capsys, AUDIO, *AUDIO_OVERRIDES)
    assert status == 0, report
    compared = {"logits", "avg_score", "avg_prob", "loss", "grad_norm", "running_mean"}
    assert compared <= set(report["differences"])


def test_experiment_named_as_the_file_is_the_default(parity, capsys):
    status, report = run(parity, capsys, FAST)
    assert status == 0, report


@pytest.mark.slow
@pytest.mark.parametrize("stem", SLOW)
def test_published_recipes(parity, capsys, stem):
    status, report = run(parity, capsys, stem)
    assert status == 0, report


def test_a_difference_past_the_tolerance_fails(parity, capsys):
    """Views of the audio network are softmaxed apart; joined, only avg_prob differs."""
    status, report = run(parity, capsys, AUDIO, *AUDIO_OVERRIDES[:-1])
    assert status == 1
    past = [name for name, value in report["differences"].items() if value > 1e-9]
    assert past == ["avg_prob"]


def test_another_architecture_fails_by_name(parity, capsys):
    overrides = [*AUDIO_OVERRIDES, "model.net.backbone.num_stages=3"]
    overrides[4] = "model.net.cls_head.in_channels=256"
    status, report = run(parity, capsys, AUDIO, *overrides)
    assert status == 1
    assert "backbone.layer4.1.conv2.bn.weight" in report["missing"]
    assert report["differing"] == ["cls_head.fc_cls.weight"]


def test_figures_of_an_unknown_kind_are_named(parity, capsys, tmp_path):
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
def test_filled_values(parity, key, shape, expected):
    """Values printed by the script that filled the reference's weights."""
    torch.testing.assert_close(
        parity.value(key, shape).flatten(), torch.tensor(expected), atol=1e-6, rtol=0
    )
