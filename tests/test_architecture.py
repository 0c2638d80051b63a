"""The layers of docs/architecture.md hold: [tool.importlinter] in pyproject.toml."""

import pytest

from tests.paths import ROOT


def test_imports_point_downwards(capsys):
    cli = pytest.importorskip("importlinter.cli", reason="pip install -e .[dev]")
    status = cli.lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert status == 0, capsys.readouterr().out
