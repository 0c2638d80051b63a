"""The published configurations that come with the package are those that the experiments have."""

from pathlib import Path

import pytest

from tests.paths import read_golden
from vidrec.config.compose import conf_dir
from vidrec.migrate.published import nearest, published

RECOGNITION = read_golden("recognition_recipes.json.gz")
DETECTION = read_golden("detection_recipes.json.gz")


def test_there_is_one_for_every_experiment():
    stems = {path.stem for path in Path(conf_dir(), "experiment").glob("*.yaml")}
    assert set(published()) == stems


@pytest.mark.parametrize("stem", [*RECOGNITION, *DETECTION])
def test_they_are_what_the_experiments_are_compared_with(stem):
    config, model = published()[stem], published()[stem]["model"]
    known = RECOGNITION.get(stem) or DETECTION[stem]
    backbone = known["backbone"] | {"type": known["backbone"]["type"].removeprefix("mmaction.")}
    assert model["backbone"] == backbone
    assert model.get("cls_head", model.get("roi_head")) == known.get("head", known.get("roi_head"))
    assert model["data_preprocessor"]["mean"] == known["mean"]
    if "optim" in known:
        assert config["optim_wrapper"] == known["optim"]
        assert config["param_scheduler"] == known["schedule"]
        assert config["train_cfg"]["max_epochs"] == known["train_cfg"]["max_epochs"]
        assert config["train_dataloader"]["batch_size"] == known["train"]["batch_size"]


def test_each_is_nearest_to_itself():
    for stem in list(published())[::20]:
        assert nearest(published()[stem], stem, 1) == [stem]


def test_loaders_and_evaluators_are_written_out():
    for stem, config in published().items():
        for key in ("train_dataloader", "val_dataloader", "test_dataloader", "test_evaluator"):
            assert isinstance(config.get(key), dict | list | None), (stem, key)
