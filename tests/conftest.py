"""Shared by all tests: one thread, so that results and times do not depend on the machine, and the
fixtures that compose configurations and run commands.
"""

import os
import subprocess
import sys

import pytest
import torch
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from tests.paths import ROOT
from vidrec.config import validation
from vidrec.config.compose import conf_dir, register
from vidrec.config.overrides import lenient

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def compose():
    """`compose(*overrides, config_name="train")`: the checked configuration of a command line."""

    def compose(*overrides, config_name="train"):
        register()
        GlobalHydra.instance().clear()
        with initialize_config_dir(conf_dir(), version_base="1.3"):
            cfg = hydra_compose(config_name, overrides=lenient(list(overrides)))
        return validation.check(cfg, OmegaConf.get_type(cfg))

    return compose


@pytest.fixture
def run():
    """`run(*arguments of python, cwd=..., ranks=1)`: the exit status and all that was written."""

    def run(*arguments, cwd, ranks=1):
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

    return run
