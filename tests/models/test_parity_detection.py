"""Published detectors give the reference's figures under the reference's names.

tests/golden/models: figures computed with MMAction2 1.2.0 (float64), see test_parity.py.
"""

import gzip
import importlib.util
import json
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "models"
PLAIN = "slowonly_kinetics400-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb"
STEMS = (
    PLAIN,
    "slowonly-lfb-max_kinetics400-pretrained-r50_8xb12-4x16x1-20e_ava21-rgb",
    "slowonly-lfb-nl_kinetics400-pretrained-r50_8xb12-4x16x1-20e_ava21-rgb",
    "slowonly_k700-pre-r50-context-temporal-max-nl-head_8xb8-8x8x1-focal-10e_ava-kinetics-rgb",
    "slowfast_kinetics400-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb",
    "slowfast_kinetics400-pretrained-r50_8xb16-4x16x1-8e_multisports-rgb",
    "slowfast-acrn_kinetics400-pretrained-r50_8xb8-8x8x1-cosine-10e_ava21-rgb",
)


@pytest.fixture(scope="module")
def parity():
    spec = importlib.util.spec_from_file_location("parity", ROOT / "benchmarks" / "parity.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("stem", STEMS)
def test_published_recipe(parity, capsys, stem):
    status = parity.main(["--golden", str(GOLDEN / f"{stem}.json.gz")])
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert status == 0, report
    assert {"cls_score", "pred_scores", "pred_bboxes"} <= set(report["differences"])


@pytest.mark.parametrize("stem", STEMS)
def test_published_names_and_shapes(parity, stem):
    """On the meta device, so that nothing is computed."""
    golden = json.loads(gzip.decompress((GOLDEN / f"{stem}.json.gz").read_bytes()))
    with torch.device("meta"):
        net = parity.build_net(parity.composed(golden | {"key": stem}, None, []).model)
    ours = {name: list(tensor.shape) for name, tensor in net.state_dict().items()}
    assert ours == {name: shape for name, shape, _ in golden["state_dict"]}
    trained = sum(p.numel() for p in net.parameters() if p.requires_grad)
    assert trained == golden["n_trainable"]
