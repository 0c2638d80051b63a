"""`vidrec migrate`: what it prints, what it writes, and how it ends."""

import copy

import pytest
import yaml

from tests.migrate.python_files import write_whole
from vidrec.commands.migrate import main, read, write
from vidrec.migrate.checked import checked
from vidrec.migrate.composed import compose_as_written, places, value_at
from vidrec.migrate.published import published

TSN = "tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e_kinetics400-rgb"


def ended(arguments, capsys):
    """The exit status, and what was printed."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return end.value.code, printed.out + printed.err


@pytest.fixture
def changed(tmp_path):
    config = copy.deepcopy(published()[TSN])
    config["optim_wrapper"]["optimizer"]["lr"] = 0.005
    config["train_dataloader"]["dataset"]["pipeline"].insert(3, {"type": "Imgaug", "n": 1})
    config["work_dir"] = "work_dirs/x"
    return write_whole(config, tmp_path / "mine.py")


def test_the_command_and_a_table_are_printed(changed, capsys):
    status, printed = ended([changed], capsys)
    assert status == 1
    assert printed == (
        f"python train.py \\\n    experiment={TSN} \\\n    schedule.optimizer.lr=0.005\n"
        "\n"
        "Not translated:\n"
        "  train_dataloader.dataset.pipeline.3  {'type': 'Imgaug', 'n': 1}  there is no such step "
        "here; write one of your own or leave it out\n"
        "\n"
        "Needs nothing here:\n"
        "  work_dir  work_dirs/x  the run directory is named after the choices; "
        "hydra.run.dir=DIR sets it\n"
    )


def test_an_experiment_file_builds_on_the_nearest_experiment(changed, tmp_path, capsys):
    out = tmp_path / "conf" / "experiment" / "mine.yaml"
    status, printed = ended([changed, "--out", out], capsys)
    assert status == 1
    assert f"python train.py --config-dir {tmp_path / 'conf'} experiment=mine" in printed
    text = out.read_text()
    assert text.startswith("# @package _global_\n# From mine.py")
    assert "# Not translated: train_dataloader.dataset.pipeline.3" in text
    assert yaml.safe_load(text) == {
        "defaults": [TSN, "_self_"],
        "schedule": {"optimizer": {"lr": 0.005}},
    }
    out.write_text("mine: 1\n")
    status, printed = ended([changed, "--out", out], capsys)
    assert status == 2
    assert "vidrec did not write it" in printed
    assert out.read_text() == "mine: 1\n"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.py", "model = build()", "a.py:1: the name 'build' has no value"),
        ("a.py", "lr = 1", "there is no `model` in the file"),
        ("a.txt", "", "pass a .py of MMAction2 or a .yaml of PySlowFast"),
        ("a.py", None, "a.py"),
        ("a.yaml", "- 1\n", "there is no MODEL in it"),
        ("a.yaml", "a: [1\n", "is not YAML"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(name, text, problem, tmp_path, capsys):
    if text is not None:
        (tmp_path / name).write_text(text)
    status, printed = ended([tmp_path / name], capsys)
    assert status == 2
    assert printed.startswith("error: ")
    assert problem in printed
    assert printed.count("\n") == 1


@pytest.mark.slow
def test_the_experiment_file_composes_to_what_the_command_does(changed, tmp_path, capsys):
    out = tmp_path / "conf" / "experiment" / "mine.yaml"
    migrated = checked(read(changed))
    write(migrated, out, changed.name)
    cfg = compose_as_written([f"hydra.searchpath=[file://{tmp_path / 'conf'}]", "experiment=mine"])
    assert value_at(cfg, "schedule.optimizer.lr") == 0.005
    assert places(cfg) == migrated.values
