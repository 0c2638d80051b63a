"""What every test shares: one thread, so that results and times do not depend on the machine.

And how commands are run.
"""

import os
import subprocess
import sys

import pytest
import torch

from tests.paths import ROOT

torch.set_num_threads(1)


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
