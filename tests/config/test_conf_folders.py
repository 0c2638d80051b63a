"""Folders of configurations of the user's own: found, never hidden, found again by run=DIR."""

import shutil

import pytest
import torch

import vidrec
from tests.conftest import TINY
from vidrec.config.compose import composed, conf_dir, register
from vidrec.config.conf_folders import conf_folders, search_path
from vidrec.errors import ConfigError
from vidrec.weights.run_directory import refuse_more_than_training

EXPERIMENT = (
    "# @package _global_\ndefaults:\n  - override /data: mine_data\nschedule: {epochs: 7}\n"
)
DATA = "defaults: [shapes, _self_]\nname: mine\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty working directory, and a folder of configurations elsewhere."""
    folder = tmp_path / "lab" / "conf"
    for group, name, text in (("experiment", "mine", EXPERIMENT), ("data", "mine_data", DATA)):
        (folder / group).mkdir(parents=True)
        (folder / group / f"{name}.yaml").write_text(text)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return folder


def test_all_ways_to_name_a_folder(project, monkeypatch):
    with pytest.raises(ConfigError, match="mine"):
        vidrec.compose("experiment=mine")
    for given in (
        {"overrides": [f"hydra.searchpath=[{project}]"]},
        {"overrides": [f"hydra.searchpath=['file://{project}']"]},
        {"folders": [str(project)]},
    ):
        conf = vidrec.compose("experiment=mine", *given.pop("overrides", []), **given)
        assert (conf.data.name, conf.schedule.epochs) == ("mine", 7)
    for option in (
        ["--config-dir", str(project)],
        [f"-cd={project}"],
        ["a=1", "-cd", "../lab/conf"],
    ):
        assert [path.resolve() for path in conf_folders(option)[1:]] == [project]
    monkeypatch.chdir(project.parent)
    assert vidrec.compose("experiment=mine", config_name="evaluate").data.name == "mine"
    assert conf_folders(["--config-dir", "conf"]) == conf_folders([])


def test_an_unrelated_folder_does_not_disturb(project, tmp_path):
    (tmp_path / "here" / "conf").mkdir()
    (tmp_path / "here" / "conf" / "train.yaml").write_text("x: 1")
    assert len(conf_folders([])) == 1


def test_vidrecs_own_folder_and_a_copy_of_it_are_no_folders_of_the_user(tmp_path, monkeypatch):
    shutil.copytree(conf_dir(), tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    conf_folders([])  # the same files
    (tmp_path / "conf" / "data" / "ucf101.yaml").write_text("name: mine")
    with pytest.raises(ConfigError, match=r"data/ucf101\.yaml would never be read: vidrec has"):
        conf_folders([])


def test_what_cannot_be_used_is_named(project):
    with pytest.raises(ConfigError, match="nope: there is no such folder"):
        conf_folders(["--config-dir", "nope"])
    with pytest.raises(ConfigError, match=r"has none of the folders .*did you mean .*lab/conf"):
        conf_folders(["--config-dir", str(project.parent)])
    gone = ["/gone/conf"]
    with pytest.raises(ConfigError, match=r"trained with files of /gone/conf.*--config-dir DIR"):
        conf_folders([], gone)
    assert conf_folders(["--config-dir", str(project)], gone)[1:] == [project]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("hydra: {callbacks: {x: {_target_: os.system}}}", "hydra.callbacks"),
        ("trust: [os]", "trust"),
        ("dump: /etc/passwd", "dump"),
    ],
)
def test_files_in_the_folder_of_a_run_set_training_alone(project, text, key):
    register()
    path = project / "experiment" / "mine.yaml"
    bare = composed("evaluate", [], with_hydra=True)
    for content in (EXPERIMENT, f"{EXPERIMENT}{text}\n"):
        path.write_text(content)
        given = ["experiment=mine", *search_path(conf_folders([], [str(project)]))]
        cfg = composed("evaluate", given, with_hydra=True)
        if content == EXPERIMENT:
            refuse_more_than_training(cfg, bare, [str(project)])
    with pytest.raises(ConfigError, match=f"set {key}, but those of a run may only set model"):
        refuse_more_than_training(cfg, bare, [str(project)])


@pytest.mark.slow
def test_a_project_of_ones_own_trains_and_its_run_is_evaluated_elsewhere(project, run, tmp_path):
    tiny = [value for value in TINY if not value.startswith("schedule.epochs")]
    train = [
        "-m",
        "vidrec",
        "train",
        "experiment=mine",
        *tiny,
        "hydra.run.dir=a run,1",
        "schedule.epochs=1",
    ]
    status, output = run(*train, cwd=project.parent)
    assert status == 0, output
    folder = project.parent / "a run,1"
    stored = torch.load(folder / "best.pt", weights_only=True)
    assert stored["folders"] == [str(project)]
    assert not any("++" in override for override in stored["overrides"])
    (root,) = (project.parent / "data").glob("shapes*")  # not its lock
    evaluate = ["-m", "vidrec", "evaluate", f"run={folder}/", f"data.root={root}"]
    status, output = run(*evaluate, cwd=tmp_path / "here")
    assert status == 0, output
    assert "mine test" in output
    project.rename(tmp_path / "moved")
    status, output = run(*evaluate, cwd=tmp_path / "here")
    assert status == 1
    assert "there is no such folder; pass the one that has them now: --config-dir DIR" in output
