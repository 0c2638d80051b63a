"""The wheel holds what a run outside the checkout needs, and nothing else."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

import vidrec
from tests.paths import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling", reason="pip install -e .[dev]")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_holds_the_package_and_the_configuration_and_nothing_else(wheel):
    expected = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in [
            *(ROOT / "vidrec").rglob("*.py"),
            ROOT / "vidrec" / "py.typed",
            ROOT / "vidrec" / "weights" / "zoo.json",
            ROOT / "vidrec" / "report" / "style.css",
            ROOT / "vidrec" / "migrate" / "published.json.gz",
        ]
    } | {
        f"vidrec/{path.relative_to(ROOT).as_posix()}": path.read_bytes()
        for path in (ROOT / "conf").rglob("*")
        if path.is_file()
    }
    names = [name for name in wheel.namelist() if ".dist-info/" not in name]
    assert {name: wheel.read(name) for name in names} == expected


def test_the_wheel_brings_its_command_and_its_licence(wheel):
    (folder,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    assert wheel.read(f"{folder}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert "vidrec = vidrec.cli:main" in wheel.read(f"{folder}/entry_points.txt").decode()


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == vidrec.__version__


def test_an_installed_package_composes_away_from_the_checkout(wheel, tmp_path):
    site = tmp_path / "site"
    wheel.extractall(site)
    (tmp_path / "elsewhere").mkdir()
    compose = "import sys, vidrec.cli as m; print(m.__file__); sys.exit(m.main())"
    result = subprocess.run(
        [sys.executable, "-c", compose, "train", "--cfg", "job", "--package", "schedule"],
        cwd=tmp_path / "elsewhere",
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    first, composed = result.stdout.split("\n", 1)
    assert Path(first).is_relative_to(site)
    assert "optimizer:" in composed


def test_an_installed_package_reads_its_own_configuration(wheel, tmp_path):
    """Not a folder `conf` that another project left beside it in site-packages."""
    wheel.extractall(tmp_path)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "train.yaml").touch()
    find = "from vidrec.config.compose import conf_dir; print(conf_dir())"
    output = subprocess.run(
        [sys.executable, "-c", find], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert Path(output.strip()) == tmp_path / "vidrec" / "conf"
