"""Training through the command that users type, with something going wrong on the way."""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.paths import ROOT
from tests.waiting import LIMIT, until

PR_CAPBSET_DROP = 24
STEPS = 8  # of the whole run, in two epochs
SMALL = [
    "model.net.backbone.num_stages=2", "model.net.cls_head.in_channels=128", "model.clip.size=32",
    "model.clip.short_side=36", "data.prepare.num_train=16",
    "data.prepare.num_val=8", "schedule.batch_size=4", "schedule.base_batch_size=4",
    "schedule.epochs=2", "runtime.log_every=1", "runtime.num_workers=1", "runtime.threads=1",
    "runtime.device=cpu", "runtime.dashboard=none",
]  # fmt: skip


def own_environment() -> dict[str, str]:
    """Without what wandb leaves behind in this process, such as the address of its service."""
    return {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}


class Training:
    """A training process; `folder` is its run directory."""

    def __init__(self, process: subprocess.Popen[str], folder: Path, output: Path) -> None:
        self.process, self.folder, self._output = process, folder, output

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait(self) -> int:
        return self.process.wait(LIMIT)

    def wait_for(self, text: str) -> None:
        """Return as soon as the process has said `text`."""

        def has_said() -> bool:
            running = self.process.poll() is None
            found = text in self.output
            assert found or running, f"it ended without saying {text!r}:\n{self.output}"
            return found

        until(has_said)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal the process and all that it started, as terminals and schedulers do."""
        os.killpg(self.process.pid, number)

    def said(self) -> str:
        """The last line."""
        return self.output.strip().splitlines()[-1]

    def rows(self) -> list[dict[str, Any]]:
        """Of metrics.jsonl, without what differs between any two runs."""
        lines = (self.folder / "metrics.jsonl").read_text().splitlines()
        timed = ("time/", "samples_per_second", "memory_gib")
        return [{k: v for k, v in json.loads(x).items() if not k.startswith(timed)} for x in lines]

    def weights(self) -> dict[str, torch.Tensor]:
        return torch.load(self.folder / "last.pt", weights_only=True)["net"]


@pytest.fixture
def train(tmp_path: Path, videos: Path) -> Iterator[Callable[..., Training]]:
    """Start a run in the folder `run` of the test; the process is ended with the test.

    fault: see sitecustomize.py. file_limit: bytes.
    powerless: permissions of files hold for root too.
    """
    started: list[Training] = []

    def start(
        *arguments: str,
        folder: Path = tmp_path / "run",
        root: Path = videos,
        fault: str = "",
        file_limit: int | None = None,
        powerless: bool = False,
        environment: dict[str, str] | None = None,
    ) -> Training:
        def prepare() -> None:
            # A shell's background job ignores Ctrl-C, and so would all that it starts.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if file_limit is not None:
                hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, hard))
            if powerless and os.geteuid() == 0:
                for capability in (1, 2):  # DAC_OVERRIDE, DAC_READ_SEARCH
                    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)

        output = tmp_path / f"output{len(started)}"
        command = [sys.executable, str(ROOT / "train.py"), *SMALL, f"data.root={root}"]
        with output.open("w") as stream:
            process = subprocess.Popen(
                [*command, f"hydra.run.dir={folder}", *arguments],
                cwd=tmp_path, stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                text=True, start_new_session=True, preexec_fn=prepare,
                env=own_environment() | {
                    "PYTHONPATH": f"{Path(__file__).parent}{os.pathsep}{ROOT}",
                    "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "VIDREC_FAULT": fault,
                } | (environment or {}),
            )  # fmt: skip
        started.append(Training(process, folder, output))
        return started[-1]

    yield start
    for training in started:
        if training.process.poll() is None:
            os.killpg(training.process.pid, signal.SIGKILL)
        training.process.wait()


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from vidrec.data.synthetic.shapes import write_shapes

    root = tmp_path_factory.mktemp("videos") / "shapes"
    write_shapes(str(root), num_train=16, num_val=8)
    return root


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, videos: Path) -> Training:
    """The run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    output = folder / "output"
    command = [sys.executable, str(ROOT / "train.py"), *SMALL, f"data.root={videos}"]
    with output.open("w") as stream:
        process = subprocess.Popen(
            [*command, f"hydra.run.dir={folder / 'run'}"], cwd=folder, stdout=stream,
            stderr=subprocess.STDOUT, text=True,
            env=own_environment() | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    training = Training(process, folder / "run", output)
    assert training.wait() == 0, training.output
    assert len(training.rows()) == STEPS + 2
    return training


@pytest.fixture
def same(whole: Training) -> Callable[[Training], None]:
    """Assert that a run came to what the undisturbed one came to, bit for bit."""

    def check(training: Training) -> None:
        assert training.rows() == whole.rows()
        expected = whole.weights()
        found = training.weights()
        assert found.keys() == expected.keys()
        for name, value in found.items():
            assert torch.equal(value, expected[name]), name

    return check
