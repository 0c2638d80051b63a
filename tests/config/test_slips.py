"""Slips on the command line get the answer in one sentence."""

from pathlib import Path

import pytest

from vidrec.config import slips
from vidrec.config.compose import conf_dir
from vidrec.config.slips import first_slip

FOLDERS = [Path(conf_dir())]


@pytest.mark.parametrize(
    ("argument", "parts"),
    [
        ("data=shapez", ["data=shapez", "did you mean 'shapes'"]),
        ("model=tsn,tms", ["model=tms", "did you mean 'tsn'"]),
        ("data/format=rawframe", ["data/format=rawframe", "'rawframes'"]),
        ("runtime=xxxx", ["runtime=xxxx", "there are: debug, default"]),
        ("runtime=0.5", ["runtime=0.5", "there are: debug, default"]),
        ("runtime=[default,debugg]", ["runtime=debugg", "did you mean 'debug'"]),
        ("runtime=", ["runtime=", "there are: debug, default"]),
    ],
)
def test_a_choice_that_names_no_file_gets_the_nearest(argument, parts):
    message = first_slip(["schedule.epochs=3", argument], FOLDERS)
    assert message is not None
    for part in parts:
        assert part in message


def test_choices_that_exist_pass():
    stem = "tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e_kinetics400-rgb"
    assert first_slip([f"experiment={stem}", "model=tsn,tsm", "data/format=flow"], FOLDERS) is None
    group = "model/backbone@model.net.backbone=image"
    assert first_slip(["experiment=null", "--cfg", "job", group], FOLDERS) is None


def test_a_launcher_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(slips._PLUGINS, "runtime=slurm", ("hydra_plugins.no_such", "slurm"))
    message = first_slip(["model=tsn", "runtime=slurm"], FOLDERS)
    assert message is not None
    assert "pip install 'vidrec[slurm]'" in message


def test_choices_of_every_folder_of_configurations_exist(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("net: 1\n")
    assert first_slip(["model=mine"], FOLDERS) is not None
    assert first_slip(["model=mine,tsn"], [*FOLDERS, tmp_path]) is None
