"""`vidrec predict` on what is live, in a process of its own."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.paths import ROOT
from tests.waiting import until


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_status_0_a_summary_and_whole_lines(tiny_run, tmp_path, number):
    video = next(tiny_run.parent.rglob("*.mp4"))
    growing, out = tmp_path / "growing.mp4", tmp_path / "labels.jsonl"
    growing.write_bytes(video.read_bytes())
    command = ["predict", growing, "--follow", "--timeout", "600", "--model", tiny_run]
    options = ["--every", "0.2", "--out", out, "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-m", "vidrec", *map(str, [*command, *options])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    until(lambda: out.exists() and out.read_text().count("\n"), 120)
    process.send_signal(number)
    said, noted = process.communicate(timeout=60)
    assert process.returncode == 0, noted
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == len(said.splitlines()) >= 1
    assert "frames dropped; " in noted.splitlines()[-1]
    assert "Traceback" not in noted


@pytest.mark.slow
def test_a_camera_that_is_not_there_ends_with_a_sentence(tiny_run, run, tmp_path):
    command = ["-m", "vidrec", "predict", "camera:9", "--model", tiny_run, "--device", "cpu"]
    status, said = run(*command, cwd=tmp_path)
    assert status == 1
    assert said.startswith("error: camera:9: there is no /dev/video9; ")
    assert said.count("\n") == 1
