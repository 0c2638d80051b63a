"""What the documentation tells the reader to type is accepted: commands, files and Python.

Nothing is trained here: test_running.py runs what can be run, and shows that it is accepted.
"""

import argparse
import ast
import re
import sys
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from tests.docs.pages import PAGES, blocks, commands, name, outputs, words
from tests.paths import ROOT
from vidrec.cli import COMMANDS
from vidrec.errors import ConfigError

LANGUAGES = {"bash", "console", "python", "yaml", "csv", "json", "text", "dockerfile"}
FLAGS = {"-m", "--multirun", "--resolve", "--help", "--no-check"}
FLAGS_WITH_A_VALUE = {"--cfg", "--config-dir", "--package", "--info"}
RUNS = {"docs/detection.md": "model=slowonly_ava_tiny", "docs/localization.md": "model=bmn"}
WITH_BLOCKS = [page for page in PAGES if blocks(page)]
pages = pytest.mark.parametrize("page", WITH_BLOCKS, ids=name)


class Accepted(BaseException):
    """Raised when a parser has accepted its arguments, so that nothing is done with them."""


@pytest.fixture
def folder_of_reader(tmp_path, monkeypatch):
    """A working directory with the files that a page shows: `folder_of_reader(page)`."""

    def write(page):
        for block in blocks(page):
            if block.file:
                path = tmp_path / block.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text)
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
        return tmp_path

    return write


def first_of_sweep(argument):
    """The first value of what a sweep tries; any other argument as it is."""
    (override,) = OverridesParser.create().parse_overrides([argument])
    if not override.is_sweep_override():
        return argument
    if override.is_choice_sweep():
        value = next(override.sweep_string_iterator())
    else:
        value = override.value().start  # an interval
    return f"{override.get_key_element()}={value}"


def as_if_there(overrides, page):
    """The overrides without run directories, after making the folders that they read."""
    for folder in re.findall(r"[\w/]+/conf\b", " ".join(overrides)):  # of a search path
        Path(folder, "data").mkdir(parents=True, exist_ok=True)
    if "data=folders" in overrides:
        (root,) = [value[10:] for value in overrides if value.startswith("data.root=")]
        Path(root, "train", "jump").mkdir(parents=True, exist_ok=True)
    if not any(value.startswith("run=") for value in overrides):
        return overrides
    rest = [value for value in overrides if not value.startswith("run=")]
    return [RUNS[name(page)], *rest] if name(page) in RUNS else rest


def check_overrides(arguments, command, page, compose):
    """Compose what the command would; raises ConfigError."""
    overrides, is_sweep = [], False
    rest = iter(arguments)
    for argument in rest:
        if argument in FLAGS_WITH_A_VALUE:
            next(rest)
        elif argument.startswith("-"):
            assert argument in FLAGS, f"unknown flag {argument}"
            is_sweep |= argument in ("-m", "--multirun")
        else:
            overrides.append(argument)
    if is_sweep:
        overrides = [first_of_sweep(argument) for argument in overrides]
    compose(*as_if_there(overrides, page), config_name=command)


def check_parser(arguments, command, monkeypatch):
    """Let the command parse its arguments, and do nothing with them."""
    parse = argparse.ArgumentParser.parse_args

    def accept(self, *given, **options):
        parse(self, *given, **options)
        raise Accepted

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", accept)
    monkeypatch.setattr(sys, "argv", [f"vidrec {command}", *arguments])
    with pytest.raises(Accepted):
        COMMANDS[command].load()(arguments)


def check(program, page, compose, monkeypatch):
    """Whether vidrec accepts one program of a command line, given as words."""
    while program[0] in ("./dev", "exec", "srun", "nice", "time"):
        program = program[1:]
    scripts = [i for i, word in enumerate(program) if word in ("train.py", "evaluate.py")]
    if program[0] == "vidrec" and not program[1].startswith("-"):
        command, arguments = program[1], program[2:]
    elif program[0] in ("python", "torchrun") and scripts:
        command, arguments = program[scripts[0]][: -len(".py")], program[scripts[0] + 1 :]
    elif program[0] == "sbatch":
        command, arguments = "train", program[program.index("docs/train.sbatch") + 1 :]
    else:
        files = [word for word in program[1:] if re.fullmatch(r"[\w/-]+/[\w-]+\.py", word)]
        assert all((ROOT / file).exists() or "/" not in file for file in files), program
        return
    if COMMANDS[command].schema is None:
        check_parser(arguments, command, monkeypatch)
    else:
        check_overrides(arguments, command, page, compose)


@pages
def test_every_block_says_what_it_is(page):
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{block.place}: '{block.language}'"
        if block.mark.startswith("not run"):
            assert re.search(r": \w", block.mark), f"{block.place}: say why it is not run"


@pages
def test_every_command_that_is_not_run_is_accepted(page, compose, folder_of_reader, monkeypatch):
    folder_of_reader(page)
    for block in blocks(page):
        if block.language != "bash":
            continue
        for command in filter(block.is_left_out, commands(block)):
            for program in words(command):
                try:
                    check(program, page, compose, monkeypatch)
                except (ConfigError, SystemExit) as error:
                    pytest.fail(f"{block.place}: {command}\n{error}")


@pages
def test_every_message_is_shown_as_it_is(page, compose, folder_of_reader):
    """Errors of configurations; test_running.py compares everything else that commands print."""
    folder_of_reader(page)
    for block in blocks(page):
        if block.language != "console":
            continue
        for command, shown in outputs(block):
            if not shown.startswith("configuration error: "):
                continue
            ((program, script, *arguments),) = words(command)
            assert program == "python", command
            with pytest.raises(ConfigError) as error:
                compose(*arguments, config_name=script.removesuffix(".py"))
            assert f"configuration error: {error.value}" == shown, block.place


@pages
def test_every_yaml_block_is_yaml(page):
    for block in blocks(page):
        if block.language == "yaml":
            assert isinstance(yaml.safe_load(block.text), dict), block.place


@pages
def test_every_configuration_file_composes(page, compose, folder_of_reader):
    """A file `conf/GROUP/NAME.yaml` that a page shows can be chosen as `GROUP=NAME`."""
    folder_of_reader(page)
    for block in blocks(page):
        if block.language == "yaml" and not block.mark.startswith("other program"):
            assert block.file, f"{block.place}: begin with the path of the file, '# conf/...'"
        match = re.fullmatch(r"conf/(\w+)/([\w-]+)\.yaml", block.file or "")
        if match:
            compose(f"{match[1]}={match[2]}")


@pages
def test_every_python_block_is_python(page):
    for block in blocks(page):
        if block.language == "python":
            ast.parse(block.text, f"{block.place}")
