"""Prefixes that wrappers leave before the names of a network: `module.`, `teacher.backbone.`."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from itertools import pairwise

_MAX_DEPTH = 8  # modules in a prefix
_LEAST = 0.3  # of the network or of the file: what a prefix must have to be that of a network
_AVERAGE = re.compile(r"(?:^|[._/])(?:ema|teacher|averaged?|swa|target_encoder)(?:$|[._/])")


def is_average(place: str) -> bool:
    """Whether a prefix or a key of a checkpoint says that its weights are averages of others.

    >>> is_average("state_dict_ema"), is_average("teacher."), is_average("encoder_q.")
    (True, True, False)
    """
    return _AVERAGE.search(place) is not None


def prefixes(names: Collection[str], wanted: Collection[str], averaged: bool = True) -> list[str]:
    """What names may begin with that the network's own do not: none, then those of most names.

    A file may hold several networks under one prefix each; with `averaged` those of averages come
    before others, else behind them.

    >>> prefixes(["student.fc.weight", "teacher.fc.weight"], ["fc.weight"])
    ['', 'teacher.', 'student.', 'teacher.fc.', 'student.fc.']
    """
    counts: Counter[str] = Counter()
    numbered = set()  # prefixes of the parts of a sequence: "blocks."
    for name in names:
        parts = name.split(".", _MAX_DEPTH + 1)[: _MAX_DEPTH + 1]
        prefix = ""
        for part, following in pairwise(parts):
            prefix += f"{part}."
            counts[prefix] += 1
            if following.isdigit():
                numbered.add(prefix)
    if any(name[:1].isdigit() for name in wanted):
        numbered.clear()
    least = _LEAST * min(len(names), len(wanted))
    found = [p for p, count in counts.items() if count >= least and p not in numbered]
    return ["", *sorted(found, key=lambda p: (p.count("."), is_average(p) != averaged))]


def twins(prefix: str, names: Iterable[str]) -> list[str]:
    """Other prefixes of the same length under which the file has the same names.

    >>> twins("teacher.", ["student.fc.weight", "teacher.fc.weight", "teacher.fc.bias"])
    []
    >>> twins("teacher.", ["student.fc.weight", "teacher.fc.weight"])
    ['student.']
    """
    depth = prefix.count(".")
    below: dict[str, set[str]] = {}
    for name in names:
        parts = name.split(".", depth)
        if depth and len(parts) > depth:
            below.setdefault(".".join(parts[:depth]) + ".", set()).add(parts[depth])
    return [other for other, inside in below.items() if other != prefix and inside == below[prefix]]
