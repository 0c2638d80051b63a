"""A migrated configuration as a file of conf/experiment."""

from typing import Any

import yaml

from vidrec.migrate.migrated import Migrated


def experiment_text(migrated: Migrated, source: str) -> str:
    """The file, which builds on the nearest experiment.

    source: the name of the file it comes from, for a comment.
    """
    defaults: list[Any] = [migrated.experiment]
    for choice in migrated.choices:
        group, _, name = choice.lstrip("+").partition("=")
        if choice.startswith("+"):
            package = "_global_." + group.replace("/", ".")
            defaults.append({f"/{group}@{package}": name})
        else:
            defaults.append({f"override /{group}": name})
    head = ["# @package _global_", f"# From {source}, by `vidrec migrate`."]
    if migrated.missing:
        keys = ", ".join(row.key for row in migrated.missing)
        head.append(f"# Not translated: {keys}")
    # An experiment's defaults end with overrides of groups; own values come after all of them.
    defaults.sort(key=lambda entry: isinstance(entry, dict) and "override" in str(entry))
    content: dict[str, Any] = {"defaults": [*defaults, *(["_self_"] if migrated.overrides else [])]}
    for override in migrated.overrides:
        node = content
        *path, last = override.key.split(".")
        for key in path:
            node = node.setdefault(key, {})
        node[last] = override.value
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)
    return "\n".join(head) + "\n" + text
