from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from vidrec.config.compose import conf_dir, register
from vidrec.config.recipe_diff import changes

register()
EXPERIMENT = "tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e_kinetics400-rgb"


def changed(*overrides):
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        inside = changes(compose("train", list(overrides)), overrides)
        cfg = compose("train", list(overrides))
    GlobalHydra.instance().clear()
    assert changes(cfg, overrides) == inside  # as in a process that a launcher started
    return inside


def test_a_bare_recipe_has_no_changes():
    assert changed(f"experiment={EXPERIMENT}") == {}
    assert changed("model=tsn", "data=ucf101") == {}
    assert changed() == {}


def test_what_was_changed_is_there_and_what_follows_from_it_is_not():
    found = changed(
        f"experiment={EXPERIMENT}", "++model.clip.size=112", "++schedule.clip_norm=null"
    )
    assert found == {"model.clip.size": [224, 112], "schedule.clip_norm": [40, None]}


def test_a_group_choice_beside_the_recipe_is_a_change():
    found = changed("model=tsn", "schedule/mixing=mixup")
    assert any(key.startswith("schedule.mixing") for key in found)


def test_a_recipe_that_is_nothing_without_a_value_of_ones_own_does_no_harm():
    assert changed("data=folders", "++data.root=mine")["data.root"] == ["???", "mine"]
