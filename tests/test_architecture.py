"""The layers of docs/architecture.md hold: [tool.importlinter] in pyproject.toml."""

import subprocess
import sys

import pytest

from tests.paths import ROOT

# Its command in a process of its own: it disables all loggers of the process that it runs in.
CODE = """
import sys
from importlinter.cli import lint_imports
sys.exit(lint_imports(config_filename="pyproject.toml", no_cache=True))
"""


def test_imports_point_downwards():
    pytest.importorskip("importlinter.cli", reason="pip install -e .[dev]")
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
