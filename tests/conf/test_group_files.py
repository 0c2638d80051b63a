"""The files of conf/ themselves: one name for one thing, structure in groups alone."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from vidrec.config.compose import conf_dir

FILES = sorted(Path(conf_dir()).rglob("*.yaml"))


def nodes(content: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """(the key it is under, its `_target_`) of every node of a file."""
    if isinstance(content, dict):
        if "_target_" in content:
            yield name, content["_target_"]
        for key, value in content.items():
            yield from nodes(value, key)


def test_a_step_has_one_name_in_every_pipeline():
    names = defaultdict(set)
    for path in FILES:
        for name, target in nodes(yaml.safe_load(path.read_text())):
            if target.startswith("vidrec.data.transforms.") and "mixing" not in target:
                names[target.rsplit(".", 1)[1]].add(name)
    assert names.pop("Resize") == {"resize", "resize_crop"}  # of frames, and of what is cut
    assert {"RandAugment", "RandomErasing", "ColorJitter"} <= set(names)
    assert {target: found for target, found in names.items() if len(found) > 1} == {}


@pytest.mark.parametrize("path", sorted(Path(conf_dir(), "experiment").glob("*.yaml")), ids=str)
def test_experiments_choose_files_and_numbers_alone(path):
    assert not list(nodes(yaml.safe_load(path.read_text())))
