"""`vidrec COMMAND`: finds commands, names near ones, answers at once."""

import re
import subprocess
import sys
import types
from dataclasses import fields
from pathlib import Path

import pytest

from vidrec import cli as command_line
from vidrec.cli import Command
from vidrec.config import schema
from vidrec.config.compose import conf_dir


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/vidrec", *arguments])
    command_line.main()


def test_a_command_gets_its_arguments_and_its_name(monkeypatch):
    calls = []
    module = types.ModuleType("lab.commands")
    module.main = lambda arguments: calls.append((arguments, list(sys.argv)))
    monkeypatch.setitem(sys.modules, "lab.commands", module)
    monkeypatch.setitem(command_line.COMMANDS, "look", Command("look", "lab.commands:main"))
    run(monkeypatch, "look", "a", "--cfg")
    assert calls == [(["a", "--cfg"], ["vidrec look", "a", "--cfg"])]


@pytest.mark.parametrize("name", command_line.COMMANDS)
def test_every_command_is_there_with_its_configuration(name):
    command = command_line.COMMANDS[name]
    assert callable(command.load())
    if command.schema is not None:
        assert Path(conf_dir(), f"{name}.yaml").is_file()
        assert hasattr(schema, command.schema)


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_help_lists_every_command_with_a_summary(monkeypatch, capsys, arguments):
    run(monkeypatch, *arguments)
    lines = capsys.readouterr().out.splitlines()
    (train,) = [line for line in lines if line.startswith("  train ")]
    assert len(train.split()) > 1


def test_an_unknown_command_names_the_nearest(monkeypatch):
    with pytest.raises(SystemExit, match="no command 'trian'; did you mean 'train'"):
        run(monkeypatch, "trian")
    with pytest.raises(SystemExit, match=r"no command 'xyz'; there are: .*train"):
        run(monkeypatch, "xyz")


def test_help_imports_nothing_heavy():
    check = (
        "import sys; sys.argv = ['vidrec', '--help']; import vidrec.cli as m; m.main();"
        "sys.exit(any(name in sys.modules for name in ('torch', 'hydra', 'numpy')))"
    )
    subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("name", [n for n, c in command_line.COMMANDS.items() if c.schema])
def test_help_is_one_page_that_names_every_argument_of_the_command(
    monkeypatch, capsys, tmp_path, name
):
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    run(monkeypatch, name, "--help")
    before = capsys.readouterr().out
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text("")
    run(monkeypatch, name, "model=tsn", "-h")
    page = capsys.readouterr().out
    assert len(page.splitlines()) <= 60
    command = command_line.COMMANDS[name]
    beside = {field.name for field in fields(schema.TrainConf)}
    for field in fields(getattr(schema, command.schema)):
        assert field.name in beside or re.search(rf"^  {field.name}= +\w", page, re.MULTILINE)
    assert len(command.examples) == 5
    count = re.search(r"experiment=NAME +(\d+) files", before)[1]
    assert f"{int(count) + 1} files, such as mine," in page


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["zoo"], ["train", "--help"], ["evaluate", "--cfg", "job"]])
def test_a_command_that_nobody_reads_ends_quietly_by_the_signal(arguments):
    command = " ".join([sys.executable, "-m", "vidrec", *arguments])
    script = f"{command} | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.stderr, done.returncode) in [("", 128 + 13), ("", 0)]
