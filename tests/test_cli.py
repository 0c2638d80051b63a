"""`vidrec COMMAND`: finds commands, names near ones, answers at once."""

import subprocess
import sys
import types
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
