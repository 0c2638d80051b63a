"""examples/own_package: installed as users install theirs, trained, and evaluated from its run."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.docs.pages import DOCS, blocks
from tests.paths import ROOT

PACKAGE = ROOT / "examples" / "own_package"
SMALL = ["runtime.num_workers=0", "runtime.device=cpu", "runtime.dashboard=none"]


def test_the_page_shows_the_files_of_the_package():
    shown = {block.file: block.text for block in blocks(DOCS / "own_code.md") if block.file}
    parts = [*PACKAGE.glob("mylab/[a-z]*.py"), *PACKAGE.glob("conf/*/*.yaml")]
    assert len(parts) == 10
    for part in parts:
        assert shown[part.relative_to(PACKAGE).as_posix()] == part.read_text()


@pytest.fixture(scope="module")
def vidrec(tmp_path_factory):
    """`vidrec(*arguments)` in a folder with conf/; the package is installed elsewhere."""
    folder = tmp_path_factory.mktemp("own")
    source, site = folder / "source", folder / "site"
    shutil.copytree(PACKAGE, source)
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *offline, "--target", site, source], check=True
    )
    shutil.copytree(PACKAGE / "conf", folder / "work" / "conf")

    def run(*arguments, program=("-m", "vidrec")):
        done = subprocess.run(
            [sys.executable, *program, *arguments],
            cwd=folder / "work",
            capture_output=True,
            text=True,
            timeout=300,
            env=os.environ | {"PYTHONPATH": f"{site}:{ROOT}", "OMP_NUM_THREADS": "1"},
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.slow
def test_the_package_is_installed_trained_and_evaluated(vidrec):
    status, output = vidrec(
        "train", "experiment=squares_10e", *SMALL, "schedule.epochs=3", "hydra.run.dir=run"
    )
    assert status == 0, output
    assert "val/worst_class" in output
    status, output = vidrec("evaluate", "run=run", *SMALL)
    assert status != 0
    assert "mylab" in output
    assert "trust=[mylab]" in output
    status, output = vidrec("evaluate", "run=run", "trust=[mylab]", *SMALL)
    assert status == 0, output
    assert "worst_class" in output
    net = "vidrec.load_model('run', trust=['mylab']).net"
    load = f"import vidrec; print(type({net}.backbone).__name__)"
    status, output = vidrec(load, program=["-c"])
    assert (status, output.split()[-1:]) == (0, ["SmallConv3d"]), output


@pytest.mark.slow
def test_a_loss_that_is_wrong_ends_the_run_in_a_sentence(vidrec):
    status, output = vidrec(
        "train",
        "experiment=squares_10e",
        "~model.loss",
        "+model.loss={_target_: vidrec.losses.classification.BinaryCrossEntropy}",
        *SMALL,
    )
    assert status != 0
    assert "epoch" not in output
    assert "BinaryCrossEntropy" in output
