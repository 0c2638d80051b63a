"""The layers of docs/architecture.md hold: [tool.importlinter] in pyproject.toml."""

import ast
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


def test_functions_fit_on_a_page():
    """At most 60 lines; constructors may be longer, whose signature is the configuration."""
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sorted((ROOT / "vidrec").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name != "__init__"
        if node.end_lineno - node.lineno >= 60
    ]
    assert long == []
