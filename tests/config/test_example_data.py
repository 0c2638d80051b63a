"""Example data of different sizes or versions never share a folder."""

from pathlib import Path

import hydra
import pytest
import yaml
from omegaconf import OmegaConf

from vidrec.config.compose import conf_dir, register
from vidrec.config.example_data import VERSIONS


@pytest.fixture(scope="module")
def data():
    """The data group of localization, with nothing resolved; both networks of BSN use its data."""
    register()
    with hydra.initialize_config_dir(conf_dir(), version_base="1.3"):
        cfg = hydra.compose("train", ["data=shapes_anet"])
    OmegaConf.set_struct(cfg, False)
    return cfg.data


def test_every_value_of_prepare_and_the_version_change_the_folder(data, monkeypatch):
    folders = [data.root]
    for key in ("num_train", "num_val", "length"):
        for number in (7, 8):
            data.prepare[key] = number
            folders.append(data.root)
            assert data.train.records.path == f"{data.root}/train.json"
            assert data.prepare.root == data.root
        del data.prepare[key]
    monkeypatch.setitem(VERSIONS, "shapes_anet", 99)
    folders.append(data.root)
    assert len(set(folders)) == len(folders)


def test_a_folder_that_the_user_names_is_taken(data):
    data.prepare.num_train, data.root = 7, "/x"
    assert data.root == data.prepare.root == "/x"
    assert data.train.records.path == "/x/train.json"


def test_every_group_of_example_data_names_its_folder_so():
    written = {
        path.stem: yaml.safe_load(path.read_text())["root"]
        for path in Path(conf_dir(), "data").glob("*.yaml")
        if "prepare:" in path.read_text()
    }
    expected = {name: f"${{example_folder:{name},${{data.prepare}}}}" for name in VERSIONS}
    assert written == expected | {"shapes_anet_proposals": expected["shapes_anet"]}
