"""benchmarks/parity.py as a module."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def parity():
    path = Path(__file__).parents[2] / "benchmarks" / "parity.py"
    spec = importlib.util.spec_from_file_location("parity", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
