"""What the documentation shows runs, from top to bottom of each page, in a folder of its own."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.docs.pages import PAGES, blocks, commands, name, outputs
from tests.paths import ROOT

RUNNABLE = ("bash", "console", "python")
FULL = {"docs/tutorial.md"}  # its figures are compared, so its trainings are not made short


def is_run(block):
    return block.language in RUNNABLE and block.is_run and not block.file


WITH_RUNS = [page for page in PAGES if any(map(is_run, blocks(page)))]


def like(shown):
    """A pattern for an output: any number stands for any other, `...` for anything."""
    pattern = re.escape(shown.strip())
    pattern = re.sub(r"(?:\\\.){3}", ".*?", pattern)
    pattern = re.sub(r"\b\d+(?:(?:\\\.|:|,)\d+)*(?:e(?:\\-|\\\+)?\d+)?", r"[\\d.:,e+-]+", pattern)
    return re.compile(re.sub(r"(?:\\\s|\s)+", r"\\s+", pattern), re.DOTALL)


def test_outputs_are_compared_up_to_numbers_and_spaces():
    shown = "03:13:25 epoch 1/8 loss 2.14  lr 9.78e-03\n...\nbest val/top1 0.8"
    assert like(shown).fullmatch("12:00:01 epoch 1/8 loss 0.1 lr 1e-05\nx\ny\nbest val/top1 1.0000")
    assert not like(shown).fullmatch("12:00:01 epoch 1/8 loss 0.1 lr 1e-05\nx\nbest val/top5 1.0")
    assert not like("top1 0.5").fullmatch("top1 high")


@pytest.fixture(scope="session")
def reader(tmp_path_factory):
    """`reader(page)`: the folder and the environment in which a page is run."""
    programs = tmp_path_factory.mktemp("programs")
    for program in ("python", "vidrec"):
        script = programs / program
        script.write_text(
            f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/docs/small.py {program} "$@"\n'
        )
        script.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "disabled",
    }
    environment.pop("VIDREC_DOCS_FULL", None)
    runner = programs / "dev"
    runner.write_text('#!/bin/sh\nexec "$@"\n')
    runner.chmod(0o755)
    data = tmp_path_factory.mktemp("data")  # example videos are written once

    def prepare(page):
        folder = tmp_path_factory.mktemp(page.stem)
        for file in ("train.py", "evaluate.py", "hubconf.py", "docs", "examples"):
            (folder / file).symlink_to(ROOT / file)
        (folder / "data").symlink_to(data)
        (folder / "dev").symlink_to(runner)
        paths = {"PYTHONPATH": f"{folder}:{ROOT}"}
        full = {"VIDREC_DOCS_FULL": "1"} if name(page) in FULL else {}
        return folder, environment | paths | full

    return prepare


@pytest.fixture(scope="session")
def trained(reader):
    """The run directory of `python train.py`, which many pages go on from."""
    folder, environment = reader(ROOT / "README.md")
    status, output = shell("python train.py", folder, environment)
    assert status == 0, output
    return folder / "runs" / "tsn_tiny_shapes"


def shell(command, folder, environment):
    """The exit status of a command line, and what it wrote."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout


def run_block(block, folder, environment):
    if block.language == "python":
        (folder / "block.py").write_text(block.text)
        status, output = shell("python block.py", folder, environment)
        assert status == 0, f"{block.place}\n{output}"
        return
    shown = outputs(block) if block.language == "console" else [(c, None) for c in commands(block)]
    for command, expected in shown:
        if block.is_left_out(command) or (expected or "").startswith("configuration error: "):
            continue  # test_blocks.py compares messages
        status, output = shell(command, folder, environment)
        if expected is None:
            assert status == 0, f"{block.place}: {command}\n{output}"
        else:
            assert like(expected).fullmatch(output.strip()), f"{block.place}: {command}\n{output}"


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_RUNS, ids=name)
def test_a_page_runs_from_top_to_bottom(page, reader, request):
    folder, environment = reader(page)
    if "runs/tsn_tiny_shapes" in page.read_text():
        shutil.copytree(request.getfixturevalue("trained"), folder / "runs" / "tsn_tiny_shapes")
    for block in blocks(page):
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif is_run(block):
            run_block(block, folder, environment)
