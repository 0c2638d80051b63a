"""Shared by all tests: one thread, so that results and times do not depend on the machine, and the
fixtures that compose configurations and run commands.
"""

import os
import subprocess
import sys

import pytest
import torch

import vidrec
from tests.paths import ROOT

TINY = [
    "model.net.backbone.num_stages=2", "model.net.cls_head.in_channels=128", "model.clip.size=32",
    "model.clip.short_side=36", "data.prepare.num_train=16", "data.prepare.num_val=8",
    "schedule.batch_size=4", "schedule.base_batch_size=4", "schedule.epochs=2",
    "runtime.num_workers=0", "runtime.threads=1", "runtime.device=cpu", "runtime.dashboard=none",
]  # fmt: skip

torch.set_num_threads(1)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist, for `-n auto`
def pytest_xdist_auto_num_workers(config):
    """The whole suite runs in parallel, selected files in this process, where -s and --pdb work."""
    return 0 if config.option.file_or_dir else min(os.cpu_count() or 1, 8)


@pytest.fixture(scope="session")
def compose():
    """`compose(*overrides, config_name="train")`: the checked configuration of a command line."""
    return vidrec.compose


def run_python(*arguments, cwd, ranks=1):
    """The exit status of python with these arguments, and everything that it wrote."""
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={ranks}", "--standalone"]
    done = subprocess.run(
        [sys.executable, *(launcher if ranks > 1 else []), *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=600,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def run():
    """`run(*arguments of python, cwd=..., ranks=1)`: the exit status and all that was written."""
    return run_python


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """The run directory of a tiny TSN, trained for two epochs of four steps on embedded videos.

    Tests share it: copy it before changing anything in it.
    """
    folder = tmp_path_factory.mktemp("tiny_run")
    status, output = run_python(ROOT / "train.py", *TINY, "hydra.run.dir=run", cwd=folder)
    assert status == 0, output
    return folder / "run"
