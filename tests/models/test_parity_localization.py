"""Published networks of localization give the reference's figures (see test_parity.py)."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "models"


def report_of(stem, capsys):
    spec = importlib.util.spec_from_file_location("parity", ROOT / "benchmarks" / "parity.py")
    parity = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(parity)
    status = parity.main(["--golden", str(GOLDEN / f"{stem}.json.gz")])
    return status, json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize("network", ["tem", "pem"])
def test_networks_of_bsn(network, capsys):
    status, report = report_of(f"bsn_{network}_1xb16-400x100-20e_activitynet-feature", capsys)
    assert status == 0, report


@pytest.mark.slow
def test_bmn(capsys):
    status, report = report_of("bmn_2xb8-400x100-9e_activitynet-feature", capsys)
    assert status == 0, report
    assert {"start", "end", "map_norm", "loss", "grad_norm"} <= set(report["differences"])
