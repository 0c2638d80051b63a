"""Values that make no sense under every key: one sentence with the key, or a value that holds.

The pairs are drawn from a seeded generator, the same on every machine.
"""

import numpy as np
import pytest
from omegaconf import OmegaConf

from vidrec.errors import ConfigError

pytestmark = pytest.mark.slow
DRAWS = 40  # for each configuration

VALUES = [
    "nan", "inf", "-inf", "-1", "0", "1e12", "1e-300", "[]", "{}", "''", "x", "null", "true",
    "[1,x]", "[[1]]", "{a: 1}", "{_target_: x}", "2147483648", "0.5", "???", "${schedule.gone}",
]  # fmt: skip
CONFIGURATIONS = [
    ["model=tsn_tiny"],
    ["model=slowonly_ava_tiny", "data=shapes_ava"],
    ["model=bmn", "data=shapes_anet"],
]


def keys_of(node, prefix=""):
    """All keys of a configuration, those of mappings and lists too."""
    items = node.items() if isinstance(node, dict) else []
    for name, child in items:
        yield f"{prefix}{name}"
        yield from keys_of(child, f"{prefix}{name}.")


@pytest.mark.parametrize("overrides", CONFIGURATIONS, ids=lambda overrides: overrides[0])
def test_a_value_without_sense_is_refused_by_its_key_or_holds(compose, overrides):
    whole = OmegaConf.to_container(OmegaConf.structured(compose(*overrides)), enum_to_str=True)
    keys = sorted(keys_of(whole))
    rng = np.random.default_rng(0)
    wrong = []
    for _ in range(DRAWS):
        key, value = keys[rng.integers(len(keys))], VALUES[rng.integers(len(VALUES))]
        try:
            compose(*overrides, f"{key}={value}")
        except ConfigError as error:
            # What a value breaks elsewhere is named there: the key may be read by many.
            if not str(error) or len(str(error)) > 3000 or "\nTraceback" in str(error):
                wrong.append(f"{key}={value}: {error}")
        except BaseException as error:
            wrong.append(f"{key}={value}: {type(error).__name__}: {error}")
    assert not wrong
