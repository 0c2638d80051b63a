"""How MMEngine lays a configuration over its bases."""

import copy
from typing import Any

DELETE = "_delete_"


class MergeError(ValueError):
    """A value cannot be laid over that of the base."""


def merged(own: dict[str, Any], base: dict[str, Any], path: str = "") -> dict[str, Any]:
    """`own` over `base`: mappings key by key, everything else whole.

    `_delete_=True` in a mapping replaces that of the base. Raises MergeError for a mapping over a
    value that is none.
    """
    result = copy.deepcopy(base)
    for key, value in own.items():
        if not isinstance(value, dict):
            result[key] = copy.deepcopy(value)
            continue
        replaces = value.get(DELETE, False)
        given = {name: child for name, child in value.items() if name != DELETE}
        if key not in base or replaces:
            result[key] = merged(given, {}, f"{path}{key}.")
        elif isinstance(base[key], dict):
            result[key] = merged(given, base[key], f"{path}{key}.")
        else:
            raise MergeError(
                f"{path}{key} is a dict, but {type(base[key]).__name__} in the base: "
                "_delete_=True replaces that"
            )
    return result


def merged_in_place(base: dict[str, Any], own: dict[str, Any]) -> None:
    """The method `merge` of the pure Python style: lay `own` over `base` itself."""
    result = merged({"": own}, {"": base})[""]
    base.clear()
    base |= result
