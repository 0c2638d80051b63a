"""Any value at any key is accepted or refused in a sentence."""

import contextlib
import copy
import random
from collections.abc import Iterator

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vidrec.config import validation
from vidrec.config.compose import conf_dir, register
from vidrec.errors import ConfigError

VALUES = (float("nan"), float("inf"), -1, 0, 5, 10**12, 1e12, [], [1], {}, "x", None)


def keys(node: object, path: str = "") -> Iterator[str]:
    if isinstance(node, DictConfig) and not (node._is_none() or node._is_interpolation()):
        for key in node:
            yield f"{path}{key}"
            yield from keys(node._get_node(key), f"{path}{key}.")


@pytest.mark.parametrize(
    ("overrides", "number"), [(["schedule/mixing=mixup_cutmix"], 12), (["model=bmn"], 8)], ids=str
)
def test_a_value_passes_or_is_refused_in_a_sentence(overrides, number):
    register()
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(conf_dir(), version_base="1.3"):
        cfg = hydra.compose("train", overrides=overrides)
    OmegaConf.set_struct(cfg, False)
    cases = [(key, value) for key in keys(cfg) for value in VALUES]
    num_checked = 0
    for key, value in random.Random(number).sample(cases, number):
        changed = copy.deepcopy(cfg)
        try:
            OmegaConf.update(changed, key, value, merge=False)
        except OmegaConfBaseException:  # as Hydra refuses it
            continue
        is_text = isinstance(OmegaConf.select(changed, key), str)
        with contextlib.suppress(ConfigError):  # any other error is one of the code
            validation.check(changed, overrides=[])
            assert is_text or value not in (float("inf"), 10**12, 1e12), key
        num_checked += 1
    assert num_checked > number // 2
