"""benchmarks/parity.py as a module."""

import importlib.util

import pytest

from tests.paths import ROOT


@pytest.fixture(scope="session")
def parity():
    path = ROOT / "benchmarks" / "parity.py"
    spec = importlib.util.spec_from_file_location("parity", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
