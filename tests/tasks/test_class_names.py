"""Names of classes travel from folders and label files to pictures, predictions and checkpoints."""

import dataclasses
from dataclasses import replace

import pytest
import torch

from vidrec import build
from vidrec.api import describe_model
from vidrec.commands.evaluate import check_classes
from vidrec.data.classes import class_difference
from vidrec.tasks import recognition


@pytest.fixture(scope="module")
def folders(tmp_path_factory, compose):
    """The configuration of folders `run` and `sit`; val has no `run`."""
    root = tmp_path_factory.mktemp("folders")
    for file in ("train/sit/a.mp4", "train/run/b.mp4", "val/sit/c.mp4"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return compose("model=tsn_tiny", "data=folders", f"data.root={root}")


def test_names_of_folders_are_those_of_the_classes_and_of_the_checkpoint(folders):
    val = build.build_dataset(folders.data, "val")
    names = recognition.class_names(folders, val)
    assert names == ["run", "sit"]
    assert describe_model(folders, names).class_names == ["run", "sit"]
    [said] = recognition.doubts({"val": val})
    assert said == "1 of 2 classes have no val samples: run"


def test_a_file_may_rename_classes_but_not_reorder_them(folders, tmp_path):
    val = build.build_dataset(folders.data, "val")
    file = tmp_path / "names.txt"
    conf = replace(folders, data=replace(folders.data, class_names=str(file)))
    file.write_text("Running\nSitting\n")
    assert recognition.class_names(conf, val) == ["Running", "Sitting"]
    file.write_text("sit\nrun\n")
    with pytest.raises(ValueError, match=r"names\.txt has 'sit' as class 0, .* it is 'run'"):
        recognition.class_names(conf, val)


def test_names_that_nobody_knows_are_numbers(folders):
    val = build.build_dataset(folders.data, "val")
    val.records.class_names = None
    assert recognition.class_names(folders, val) == ["0", "1"]


@pytest.mark.parametrize(
    ("trained", "message"),
    [
        (["sit", "run"], "the same classes in another order: 0 was 'sit', here it is 'run'"),
        (["run", "walk"], "2 classes then, 2 other ones here: 1 was 'walk', here it is 'sit'"),
        (["run", "sit", "walk"], "3 classes then, 2 other ones here"),
    ],
)
def test_a_checkpoint_of_other_classes_is_refused(folders, tmp_path, trained, message):
    file = tmp_path / "best.pt"
    torch.save({"about": dataclasses.asdict(describe_model(folders, trained))}, file)
    with pytest.raises(ValueError, match=rf"best\.pt was .* {message}.*same_classes=false"):
        check_classes(["run", "sit"], str(file))
    check_classes(trained, str(file))
    check_classes(["0", "1"], str(file))  # nothing is known about the data
    assert class_difference(["0", "1"], ["run", "sit"]) is None


def test_a_checkpoint_that_tells_no_classes_is_scored(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "published.pth")
    check_classes(["run", "sit"], str(tmp_path / "published.pth"))
    check_classes(["run", "sit"], "zoo://tsn")
