"""Where a configuration differs from the published one."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from vidrec.migrate.composed import ABSENT
from vidrec.migrate.overriding import same


class Difference(NamedTuple):
    """A value of one configuration and of the published one; ABSENT where it has none."""

    path: tuple[str, ...]
    given: Any
    published: Any

    @property
    def key(self) -> str:
        return ".".join(self.path)


def differences(given: Any, published: Any, path: tuple[str, ...] = ()) -> Iterator[Difference]:
    """The differences, key by key. Nodes of two types differ as a whole, lists too.

    >>> list(differences({"a": {"b": 1}, "c": None}, {"a": {"b": 2}}))
    [Difference(path=('a', 'b'), given=1, published=2)]
    """
    if same(given, published) or {_text(given), _text(published)} <= {"None", ABSENT}:
        return
    if not _are_nodes_of_one_type(given, published):
        yield Difference(path, given, published)
        return
    mine, theirs = (node if isinstance(node, Mapping) else {} for node in (given, published))
    for key in [*mine, *(key for key in theirs if key not in mine)]:
        yield from differences(mine.get(key, ABSENT), theirs.get(key, ABSENT), (*path, key))


def _text(value: Any) -> str:
    return str(value) if value is None or isinstance(value, str) else ""


def _are_nodes_of_one_type(given: Any, published: Any) -> bool:
    nodes = [node for node in (given, published) if isinstance(node, Mapping)]
    absent = [node for node in (given, published) if node is None or node == ABSENT]
    if len(nodes) == 2:
        return bool(nodes[0].get("type") == nodes[1].get("type"))
    return len(nodes) == 1 and len(absent) == 1 and "type" not in nodes[0] and bool(nodes[0])
