"""Networks of 3D convolutions give the reference's figures under the reference's names.

tests/golden/models: figures computed with MMAction2 1.2.0 (torch 2.13, float64), weights filled by
the rule that benchmarks/parity.py describes.
"""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "models"
FAMILIES = ("c2d", "c3d", "i3d", "ircsn", "r2plus1d", "slowfast", "slowonly", "x3d")
STEMS = sorted(
    path.name.removesuffix(".json.gz")
    for family in FAMILIES
    for path in GOLDEN.glob(f"{family}_*kinetics400-rgb.json.gz")
)
FAST = ("x3d_s",)
CASES = [
    pytest.param(stem, marks=() if stem.startswith(FAST) else pytest.mark.slow)
    for stem in [*STEMS, "c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb"]
]


@pytest.fixture(scope="module")
def parity():
    spec = importlib.util.spec_from_file_location("parity", ROOT / "benchmarks" / "parity.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("stem", CASES)
def test_published_recipe(parity, capsys, stem):
    status = parity.main(["--golden", str(GOLDEN / f"{stem}.json.gz")])
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert status == 0, report
    assert "logits" in report["differences"]
