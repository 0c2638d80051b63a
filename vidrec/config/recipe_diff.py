"""What a run's configuration has other than the recipe that it was started from."""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vidrec.config.completion import complete
from vidrec.config.compose import composed
from vidrec.config.conf_folders import current_folders, search_path

ABSENT = "(absent)"


def changes(
    cfg: DictConfig, overrides: Sequence[str], config_name: str = "train"
) -> dict[str, list[Any]]:
    """Dotted key -> [value of the recipe, value of `cfg`], for the values that differ.

    What differs only because it refers to another value is left out.

    The recipe is the experiment alone, or else the model and the data alone; overrides: those that
    `cfg` was composed with.
    """
    chosen = {override.lstrip("+").partition("=")[0] for override in overrides}
    groups = {"experiment"} if "experiment" in chosen else {"model", "data"}
    bare = [override for override in overrides if override.partition("=")[0] in groups]
    bare += search_path(current_folders(overrides))
    recipe = composed(config_name, bare)
    complete(recipe, bare)
    written, changed = (flat(OmegaConf.to_container(c, resolve=False)) for c in (recipe, cfg))
    try:
        before, after = (flat(OmegaConf.to_container(c, resolve=True)) for c in (recipe, cfg))
    except (
        OmegaConfBaseException
    ):  # the bare recipe needs a value that only an override gives, such as a folder
        before, after = written, changed
    return {
        key: [before.get(key, ABSENT), after.get(key, ABSENT)]
        for key in [*after, *(key for key in before if key not in after)]
        if before.get(key, ABSENT) != after.get(key, ABSENT)
        # A reference to a whole mapping has no keys of its own.
        and (key in written or key in changed)
        and written.get(key, ABSENT) != changed.get(key, ABSENT)
    }


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value, of all single values in nested mappings."""
    if not isinstance(node, Mapping) or not node:
        return {prefix[:-1]: node}
    return {
        key: value
        for name, child in node.items()
        for key, value in flat(child, f"{prefix}{name}.").items()
    }
