"""A node is replaced whole: it has exactly the keys that were given with it and after it."""

import pytest
from omegaconf import OmegaConf

from tests.config.own_parts import OWN
from vidrec.config.contributions import Contribution, of_overrides
from vidrec.config.replacing import replace_whole, spelled_out
from vidrec.errors import ConfigError


@pytest.mark.parametrize(
    ("choice", "node", "arguments"),
    [
        ("model=tpn_tsm", "model.loss", {"_target_": f"{OWN}.Loss"}),
        ("model=tsn_tiny", "model.net", {"_target_": f"{OWN}.Network", "width": 3}),
        ("model=tsn_tiny", "model.net.backbone", {"_target_": f"{OWN}.Backbone"}),
        ("model=tsn_tiny", "data.metric", {"_target_": f"{OWN}.Score"}),
        ("model=tsn_tiny", "data.test", {"_target_": f"{OWN}.Dataset", "size": 2}),
        ("model=tsn_tiny", "data.transforms.train.crop", {"_target_": f"{OWN}.Shift"}),
        ("model=tsn_tiny", "schedule.mixing", {"_target_": f"{OWN}.Mixing"}),
        (
            "model=tsn_tiny",
            "schedule.optimizer",
            {"_target_": "torch.optim.RMSprop", "_partial_": True, "lr": 0.1, "alpha": 0.9},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_any_node_is_replaced_on_the_command_line(compose, choice, node, arguments):
    text = ", ".join(f"{key}: {value}" for key, value in arguments.items())
    conf = compose(choice, f"~{node}", f"+{node}={{{text}}}")
    found = conf
    for key in node.split("."):
        found = found[key] if isinstance(found, dict) else getattr(found, key)
    assert found == arguments


def test_a_replaced_step_keeps_its_place(compose):
    step = "data.transforms.train.crop"
    steps = compose(f"~{step}", f"+{step}={{_target_: {OWN}.Shift}}").data.transforms["train"]
    assert list(steps) == list(compose().data.transforms["train"])


def test_what_comes_after_still_applies(compose):
    loss = compose(
        "~model.loss", f"+model.loss={{_target_: {OWN}.Loss}}", "model.loss.weight=3"
    ).model.loss
    assert loss == {"_target_": f"{OWN}.Loss", "weight": 3}


def merged(*contents):
    """What Hydra makes of some files in order, and what each of them gives."""
    given = [Contribution(f"{i}.yaml", (), content) for i, content in enumerate(contents)]
    return OmegaConf.merge(*contents), given


def test_a_file_replaces_what_the_files_before_it_gave():
    cfg, given = merged(
        {"net": {"backbone": {"_target_": "A", "depth": 18, "norm": {"eps": 1}}, "head": {"k": 1}}},
        {"net": {"backbone": {"_replace_": True, "_target_": "B", "norm": {"momentum": 2}}}},
        {"net": {"backbone": {"width": 3}}},
    )
    replace_whole(cfg, given)
    assert cfg == {
        "net": {
            "backbone": {"_target_": "B", "norm": {"momentum": 2}, "width": 3},
            "head": {"k": 1},
        }
    }


def test_a_replaced_pipeline_has_its_own_order():
    cfg, given = merged(
        {"steps": {"resize": 1, "crop": 2, "flip": 3}},
        {"steps": {"_replace_": True, "flip": 4, "gray": 5, "crop": 6}},
    )
    replace_whole(cfg, given)
    assert list(cfg.steps.items()) == [("flip", 4), ("gray", 5), ("crop", 6)]


def test_the_last_replacement_counts():
    cfg, given = merged(
        {"loss": {"_replace_": True, "a": 1}}, {"loss": {"_replace_": True, "b": 2}}
    )
    replace_whole(cfg, given)
    assert cfg == {"loss": {"b": 2}}


def test_it_can_only_be_true():
    cfg, given = merged({"loss": {"_replace_": False, "a": 1}})
    with pytest.raises(ConfigError, match=r"loss._replace_=False \(0.yaml\): it can only be true"):
        replace_whole(cfg, given)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["~a.b", "+a.b={c: 1}"], ["++a.b={_replace_: true}", "+a.b={c: 1}"]),
        (["~a.b", "a.b.c=1"], ["++a.b={_replace_: true}", "a.b.c=1"]),
        (["+a.b={c: 1}", "~a.b"], ["+a.b={c: 1}", "~a.b"]),  # a deletion, as Hydra has it
        (["~a.b", "a.bc=1"], ["~a.b", "a.bc=1"]),
        (["~model", "model=tsn"], ["~model", "model=tsn"]),  # a group
    ],
)
def test_a_deletion_before_a_value_means_whole(arguments, expected):
    assert spelled_out(arguments) == expected


def test_the_overrides_of_a_run_repeat_the_replacement(compose):
    given = spelled_out(["~model.loss", f"+model.loss={{_target_: {OWN}.Loss}}"])
    assert next(of_overrides(given)).content == {"_replace_": True}
    assert compose(*given).model.loss == {"_target_": f"{OWN}.Loss"}


def test_an_inherited_argument_that_does_not_fit_says_where_it_comes_from(compose):
    with pytest.raises(ConfigError) as error:
        compose("model=tsn_tiny", f"model.net.backbone._target_={OWN}.Backbone")
    message = str(error.value)
    assert "Backbone takes no 'depth', which conf/model/tsn_tiny.yaml gives" in message
    assert f"~model.net.backbone '+model.net.backbone={{_target_: {OWN}.Backbone}}'" in message
    assert "_replace_: true" in message


def test_all_splits_are_replaced(compose):
    dataset = f"{{_target_: {OWN}.Dataset, size: 4}}"
    splits = ["train", "val", "test"]
    pairs = [text for split in splits for text in (f"~data.{split}", f"+data.{split}={dataset}")]
    data = compose(*pairs).data
    assert data.train == data.val == data.test == {"_target_": f"{OWN}.Dataset", "size": 4}


def test_what_refers_to_a_key_that_is_gone_is_named(compose):
    with pytest.raises(ConfigError, match=r"data\.test\.records refers to data\.val\.rec"):
        compose("~data.val", f"+data.val={{_target_: {OWN}.Dataset}}")


def test_a_misspelt_argument_is_not_taken_for_an_inherited_one(compose):
    with pytest.raises(ConfigError, match="takes no 'label_smothing'; did you mean"):
        compose("model.loss.label_smothing=0.1")
