"""pyproject.toml, environment.yml and what is installed agree."""

import ast
import importlib.metadata
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())
DEV = PROJECT["optional-dependencies"]["dev"]


def test_conda_installs_the_dependencies_of_pyproject():
    (pip,) = [entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict)]
    assert pip == [*PROJECT["dependencies"], "-e .[dev]"]
    assert "pip" in CONDA["dependencies"]  # conda warns and guesses without it


def test_conda_and_pyproject_ask_for_the_same_python():
    (python,) = [e for e in CONDA["dependencies"] if isinstance(e, str) and e.startswith("python")]
    bounds = PROJECT["requires-python"]
    assert Requirement(python).specifier == SpecifierSet(bounds)
    assert ".".join(map(str, sys.version_info[:3])) in SpecifierSet(bounds)


@pytest.mark.parametrize("line", [*PROJECT["dependencies"], *DEV])
def test_what_is_installed_is_within_the_bounds(line):
    requirement = Requirement(line)
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        if line in DEV:
            pytest.skip("a development tool that these tests can do without")
        raise
    assert requirement.specifier.contains(version, prereleases=True), version


def test_every_import_of_the_package_is_a_declared_dependency():
    """A package that comes along with another one today may not tomorrow."""
    extras = PROJECT["optional-dependencies"].values()
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    imported = {
        name.split(".")[0]: path
        for path in [*(ROOT / "vidrec").rglob("*.py"), ROOT / "train.py", ROOT / "evaluate.py"]
        for node in ast.walk(ast.parse(path.read_text()))
        for name in _names(node)
    }
    owners = importlib.metadata.packages_distributions()
    undeclared = {
        module: path.name
        for module, path in imported.items()
        if module not in sys.stdlib_module_names
        and module != "vidrec"
        and not {canonicalize_name(name) for name in owners.get(module, [module])} & declared
    }
    assert not undeclared


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level and node.module:
        return [node.module]
    return []
