"""`./dev` on a project without dependencies, whose build can be made to hang or to fail."""

import os
import shutil
import signal
import subprocess
import time
import zipfile

import pytest

from tests.paths import ROOT

DEV = ROOT / "dev"
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "sample"
version = "1"
"""
BACKEND = """
import os, time, zipfile

def build_editable(directory, config_settings=None, metadata_directory=None):
    with open("installed", "a") as log:
        log.write("x")
    if os.path.exists("broken"):
        raise RuntimeError("the reason that pip gives")
    while os.path.exists("hang"):
        time.sleep(0.05)
    name = "sample-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        info = "sample-1.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: sample\\nVersion: 1\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "check out"
    folder.mkdir()
    shutil.copy(DEV, folder)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "backend.py").write_text(BACKEND)
    return folder


def start(checkout, *command, cwd=None, **variables):
    env = {name: value for name, value in os.environ.items() if name != "VIDREC_VENV"}
    return subprocess.Popen(
        [checkout / "dev", *command],
        cwd=cwd or checkout,
        env=env | {"PIP_NO_INDEX": "1"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(checkout, *command, **options):
    process = start(checkout, *command, **options)
    output, error = process.communicate(timeout=120)
    return process.returncode, output, error


def num_installations(checkout):
    log = checkout / "installed"
    return len(log.read_text()) if log.exists() else 0


@pytest.mark.slow
def test_installs_once_then_passes_everything_through(checkout, tmp_path):
    script = "import os, sys; print(sys.argv[1:], os.getcwd(), sys.prefix); sys.exit(7)"
    command = ["python", "-c", script, "two words", "*"]
    status, first, error = run(checkout, *command)
    assert status == 7, error
    assert "installing" in error
    assert first == f"{['two words', '*']} {checkout} {checkout / '.venv'}\n"
    # From outside it works in the checkout, from a folder of the checkout in that folder.
    assert run(checkout, *command, cwd=tmp_path) == (7, first, "")
    (checkout / "docs").mkdir()
    status, inside, error = run(checkout, "pwd", cwd=checkout / "docs")
    assert (status, inside, error) == (0, f"{checkout / 'docs'}\n", "")
    assert num_installations(checkout) == 1

    (checkout / "pyproject.toml").write_text(PYPROJECT + "# changed\n")
    (checkout / ".venv" / "kept").touch()
    assert run(checkout, "true")[0] == 0
    assert num_installations(checkout) == 2
    assert (checkout / ".venv" / "kept").exists()


@pytest.mark.slow
def test_two_calls_at_once_install_once(checkout):
    processes = [start(checkout, "python", "-c", "import sys; print(sys.prefix)") for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert outputs == [f"{checkout / '.venv'}\n"] * 2
    assert num_installations(checkout) == 1


@pytest.mark.slow
def test_an_installation_that_was_killed_is_made_anew(checkout):
    (checkout / "hang").touch()
    process = start(checkout, "true")
    deadline = time.monotonic() + 60
    while not num_installations(checkout):
        assert time.monotonic() < deadline, "the installation never began"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (checkout / "hang").unlink()
    (checkout / ".venv" / "left over").touch()
    status, _, error = run(checkout, "true")
    assert status == 0, error
    assert not (checkout / ".venv" / "left over").exists()


@pytest.mark.slow
def test_a_failed_installation_says_why_and_is_tried_again(checkout):
    (checkout / "broken").touch()
    status, _, error = run(checkout, "true")
    assert status == 1
    assert "the reason that pip gives" in error
    (checkout / "broken").unlink()
    assert run(checkout, "true")[0] == 0


@pytest.mark.slow
def test_the_environment_can_lie_elsewhere(checkout, tmp_path):
    script = "import sys; print(sys.prefix)"
    status, output, error = run(checkout, "python", "-c", script, VIDREC_VENV=f"{tmp_path}/a/b/")
    assert (status, output) == (0, f"{tmp_path}/a/b\n"), error
    assert not (checkout / ".venv").exists()


@pytest.mark.slow
def test_oldest_installs_the_lower_bounds_beside_the_newest(checkout, tmp_path):
    for name, version in [("tool", "1.2"), ("tool", "1.10"), ("extra_tool", "2.0"), ("free", "3")]:
        with zipfile.ZipFile(tmp_path / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            info = f"{name}-{version}.dist-info"
            metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            wheel.writestr(f"{info}/METADATA", metadata)
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
    (checkout / "pyproject.toml").write_text(
        PYPROJECT
        + 'dependencies = ["tool>=1.2,<2", "free<4"]\n'
        + '[project.optional-dependencies]\ndev = ["sample[fun]"]\nfun = ["extra-tool[x] >= 2"]\n'
    )
    metadata = (
        "Metadata-Version: 2.1\\nName: sample\\nVersion: 1\\nRequires-Dist: tool>=1.2,<2\\n"
        "Requires-Dist: free<4\\nProvides-Extra: dev\\n"
        "Requires-Dist: extra-tool>=2; extra == 'dev'\\n"
    )
    plain = "Metadata-Version: 2.1\\nName: sample\\nVersion: 1\\n"
    assert plain in BACKEND
    (checkout / "backend.py").write_text(BACKEND.replace(plain, metadata))
    script = (
        "import sys; from importlib.metadata import version; "
        "print([version(name) for name in ('tool', 'extra-tool', 'free')], sys.prefix)"
    )
    wheels = {"PIP_FIND_LINKS": str(tmp_path)}
    command = ["python", "-c", script]
    for _ in range(2):
        status, output, error = run(checkout, "--oldest", *command, **wheels)
        assert status == 0, error
        assert output == f"{['1.2', '2.0', '3']} {checkout / '.venv-oldest'}\n"
    assert num_installations(checkout) == 1
    # In one place the kinds follow each other: what is newer does not stay, nor what is older.
    place = {"VIDREC_VENV": str(tmp_path / "venv")}
    for options, versions in [([], ["1.10", "2.0", "3"]), (["--oldest"], ["1.2", "2.0", "3"])] * 2:
        output = run(checkout, *options, *command, **wheels, **place)[1]
        assert output == f"{versions} {tmp_path / 'venv'}\n"


def test_a_folder_that_it_did_not_make_is_left_alone(checkout):
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "precious").touch()
    status, _, error = run(checkout, "true")
    assert status == 1
    assert "was not made by this script" in error
    assert (checkout / ".venv" / "precious").exists()


def test_an_old_python_is_refused_in_plain_words(checkout, tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "env", "dirname"):
        (tools / name).symlink_to(shutil.which(name))
    (tools / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tools / "python3").chmod(0o755)
    status, _, error = run(checkout, "true", PATH=str(tools))
    assert status == 1
    assert "no Python >= 3.11 found" in error
    assert not (checkout / ".venv").exists()
