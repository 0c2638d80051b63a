"""Nodes that are replaced whole.

Hydra merges mappings: what a later file or override does not mention stays. A mapping with
`_replace_: true` keeps nothing of what came before it; all that comes after it still applies.
"""

from collections.abc import Sequence

from omegaconf import DictConfig

from vidrec.config.arguments import is_key
from vidrec.config.contributions import REPLACE, Contribution, KeyPath
from vidrec.errors import ConfigError


def has_replaced(node: object) -> bool:
    """Whether any mapping says that it is whole."""
    if isinstance(node, DictConfig) and _is_open(node):
        return any(key == REPLACE or has_replaced(node._get_node(key)) for key in node)
    return False


def replace_whole(cfg: DictConfig, given: Sequence[Contribution]) -> None:
    """Take out of every node with `_replace_: true` all that was given before it; in place.

    given: all that `cfg` was merged from. The keys of such a node are then in the order in which
    they were given. Raises ConfigError if `_replace_` is anything but true.
    """
    starts: dict[KeyPath, int] = {}
    for index, contribution in enumerate(given):
        for path, value in contribution.nodes():
            if path[-1] != REPLACE:
                continue
            if value is not True:
                raise ConfigError(
                    f"{'.'.join(path)}={value} ({contribution.origin}): it can only be true, or "
                    "be left out"
                )
            starts[path[:-1]] = index
    for path, start in starts.items():
        kept = dict.fromkeys(node for later in given[start:] for node, _ in later.nodes())
        _keep(_at(cfg, path), path, list(kept))


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """The pair `~X` and `+X={...}` as `X={_replace_: true}` and `+X={...}`.

    Hydra deletes nothing that a dataclass holds; what `~X` means when X is given again is the same.
    Where it is not, `~X` stays.
    """
    keys = [argument.lstrip("+").partition("=")[0] for argument in arguments]

    def is_given_again(index: int) -> bool:
        name = arguments[index][1:]
        return any(key == name or key.startswith(f"{name}.") for key in keys[index + 1 :])

    return [
        f"++{argument[1:]}={{{REPLACE}: true}}"
        if argument[:1] == "~" and is_key(f"{argument[1:]}=") and is_given_again(index)
        else argument
        for index, argument in enumerate(arguments)
    ]


def _keep(node: object, path: KeyPath, kept: Sequence[KeyPath]) -> None:
    """Keep of the mapping at `path` only these paths, in their order."""
    if not (isinstance(node, DictConfig) and _is_open(node)):
        return
    children = {str(key): key for key in node}
    names = [other[-1] for other in kept if other[:-1] == path and other[-1] != REPLACE]
    inside = {children[name]: node._get_node(children[name]) for name in names if name in children}
    for key, child in inside.items():
        _keep(child, (*path, str(key)), kept)
    node.__dict__["_content"] = inside


def _at(cfg: DictConfig, path: KeyPath) -> object:
    """The node at a path; None where there is none."""
    node: object = cfg
    for key in path:
        if not (isinstance(node, DictConfig) and _is_open(node)):
            return None
        node = next((node._get_node(name) for name in node if str(name) == key), None)
    return node


def _is_open(node: DictConfig) -> bool:
    """Whether it has children of its own, rather than being null, missing or a reference."""
    return not (node._is_none() or node._is_missing() or node._is_interpolation())
