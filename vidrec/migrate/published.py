"""The published configurations that the experiments reproduce.

published.json.gz holds them as MMAction2 1.2.0 (Apache-2.0, configs/) composes them, one for each
file of conf/experiment, in the spelling of `canonical`. What a configuration has in common with the
published one of its experiment needs no translation: only the differences do.
"""

import functools
import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("published.json.gz")


@functools.cache
def published() -> dict[str, dict[str, Any]]:
    """Name of the experiment -> published configuration."""
    found: dict[str, dict[str, Any]] = json.loads(gzip.decompress(FILE.read_bytes()))
    return found


def nearest(config: Mapping[str, Any], name: str, count: int) -> list[str]:
    """The experiments whose published configurations are most like one, the best first.

    config: in the spelling of `canonical`. name: of its file, which decides between equals.
    """
    own = dict(leaves(config))

    def distance(stem: str) -> tuple[float, bool, str]:
        other = _leaves_of(stem)
        differing = [key for key in own.keys() | other.keys() if own.get(key) != other.get(key)]
        total = sum(_weight(key, own.get(key, ""), other.get(key, "")) for key in differing)
        return round(total, 6), stem != name, stem

    return sorted(published(), key=distance)[:count]


@functools.cache
def _leaves_of(stem: str) -> dict[str, str]:
    return dict(leaves(published()[stem]))


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, value as text) of all single values."""
    if isinstance(node, Mapping) and node:
        for key, child in node.items():
            yield from leaves(child, f"{path}.{key}")
    elif isinstance(node, list) and any(isinstance(child, Mapping) for child in node):
        for i, child in enumerate(node):
            # The steps of a pipeline by what they are, so that one more does not move the others.
            name = child.get("type", i) if isinstance(child, Mapping) else i
            name = "Sample" if "Sample" in str(name) else name
            yield from leaves(child, f"{path}[{name}]")
    else:
        yield path, repr(node)


def _weight(path: str, given: str, there: str) -> float:
    """How much a difference says that it is another recipe."""
    if path.startswith(".model."):
        if path.endswith(".type") and "[" not in path:
            return 30
        return 1 if ".data_preprocessor" in path else 3
    if path.startswith((".default_hooks", ".env_cfg", ".work_dir", ".log", ".vis")):
        return 0.01
    if "ann_file" in path or "data_prefix" in path or path.endswith("_file"):
        return 0.15 if given.rsplit("/", 1)[-1] == there.rsplit("/", 1)[-1] else 0.3
    return 1
