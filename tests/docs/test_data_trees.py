"""The trees of docs/data.md are those that the data groups point to."""

import re

import pytest

from tests.paths import ROOT
from vidrec.commands import data

PAGE = (ROOT / "docs" / "data.md").read_text()
SECTIONS = re.findall(
    r"^### `data=(\w+)`\n(?:(?!^#).*\n)*?```text\n(data/(?:.*\n)+?)```", PAGE, re.MULTILINE
)
MODELS = {"ava22": "slowonly_ava", "multisports": "slowfast_ava"}
MODELS |= {"activitynet": "bmn", "thumos14": "bmn"}
# What `vidrec data list` reads and writes besides the paths of the configuration.
SOURCES = {"train.csv", "validate.csv", "activity_net.v1-3.min.json", "kinetics400_classes.txt"}
SOURCES |= {f"something-something-v2-{name}.json" for name in ("labels", "train", "validation")}
SOURCES |= {"sthv2_classes.txt"}


def paths_of(tree: str) -> list[str]:
    """The paths of a drawn tree: four columns a level, folders end with a slash."""
    root, *lines = tree.splitlines()
    parts, found = [root.rstrip("/")], []
    for line in lines:
        drawn, name = re.fullmatch(r"((?:│   |    )*(?:├|└)── )(\S+)(?:  +#.*)?", line).groups()
        parts[len(drawn) // 4 :] = [name.rstrip("/")]
        found.append("/".join(parts))
    return found


def strings(node: object) -> set[str]:
    if isinstance(node, dict):
        return set().union(*map(strings, node.values()))
    if isinstance(node, list):
        return set().union(*map(strings, node))
    return {node} if isinstance(node, str) else set()


def test_the_trees_are_found():
    assert [name for name, _ in SECTIONS] == [
        *("kinetics400", "ucf101", "ucf101_lists", "hmdb51", "sthv2", "sthv1", "jester", "mitv1"),
        *("mmit", "ava22", "multisports", "activitynet", "thumos14"),
    ]


@pytest.mark.parametrize(("name", "tree"), SECTIONS, ids=[name for name, _ in SECTIONS])
def test_a_tree_has_every_path_of_its_data_group_and_no_others(compose, name, tree):
    drawn = paths_of(tree)
    conf = compose(f"data={name}", f"model={MODELS.get(name, 'tsn')}").data
    pointed = {path for path in strings([conf.train, conf.val]) if path.startswith(conf.root)}
    assert pointed
    assert pointed <= set(drawn)
    for path in drawn:
        is_known = any(f"{path}/".startswith(f"{start}/") for start in pointed)
        leads_there = any(start.startswith(f"{path}/") for start in pointed)
        assert is_known or leads_there or path.rpartition("/")[2] in SOURCES, path


def test_the_defaults_of_the_list_builders_are_the_roots_of_the_trees():
    roots = {tree.split("/\n")[0] for _, tree in SECTIONS}
    for name, (root, _) in data.DATASETS.items():
        assert root in roots
        assert re.search(rf"vidrec data list .*{name}", PAGE)
