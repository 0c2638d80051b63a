"""The overrides that give an experiment other values, as few as there can be."""

import copy
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vidrec.migrate.composed import ABSENT, candidates, places, referred_to, value_at


@dataclass(frozen=True)
class Fact:
    """A value that the configuration must have.

    source, given: the key and the value that it comes from. new: a name that no file defines.
    spreads: what refers to the key may change with it. default: of the class, if the key is absent.
    """

    path: str
    value: Any
    source: str
    given: Any
    new: bool = False
    spreads: bool = False
    default: Any = ABSENT


@dataclass(frozen=True)
class Override:
    """One value on the command line, or in an experiment file."""

    key: str
    value: Any
    new: bool = False


def overrides_for(
    cfg: DictConfig, facts: Iterable[Fact]
) -> tuple[list[Override], list[Fact], DictConfig]:
    """What gives a composed configuration the values of `facts` and changes nothing else.

    Returns the overrides, the facts that none can give, and the configuration with them.
    """
    waiting, cfg = list(facts), copy.deepcopy(cfg)
    names = referred_to(cfg)
    wanted = {fact.path: fact.value for fact in waiting}
    made: dict[str, Override] = {}
    forced = False
    while waiting:  # one that is given later can make room for an earlier one
        left: list[Fact] = []
        restored: list[Fact] = []
        for fact in waiting:
            if same(_effective(cfg, fact), fact.value):
                continue
            tried = _by_element(cfg, fact)
            if len(tried) == 1 and not _is_referred_to(tried[0][0], names):
                made[fact.path] = Override(fact.path, fact.value, fact.new)
                OmegaConf.update(cfg, fact.path, fact.value, force_add=True)
                continue
            found = _one(cfg, fact, wanted, reversed(tried) if forced else tried, forced)
            if found is None:
                left.append(fact)
                continue
            override, cfg, others = found
            made[override.key] = override
            restored += [Fact(path, value, fact.source, fact.given) for path, value in others]
            wanted |= dict(others)
        if forced and len(left) == len(waiting):
            return list(made.values()), left, cfg
        # What refers to a value is then given its own.
        forced = len(left) == len(waiting)
        waiting = left + restored
    return list(made.values()), [], cfg


def _effective(cfg: DictConfig, fact: Fact) -> Any:
    value = value_at(cfg, fact.path)
    return fact.default if value == ABSENT else value


def _is_referred_to(key: str, names: Collection[str]) -> bool:
    """Whether other values may change with a key."""
    last = key.rsplit(".", 1)[-1]
    return any(
        name == last or f"{name}.".startswith(f"{key}.") or f"{key}.".startswith(f"{name}.")
        for name in names
    )


def _one(
    cfg: DictConfig,
    fact: Fact,
    wanted: Mapping[str, Any],
    tried: Iterable[tuple[str, Any]],
    forced: bool,
) -> tuple[Override, DictConfig, list[tuple[str, Any]]] | None:
    """An override that gives one fact and no value that is not wanted.

    tried: (key, value) pairs, the best first. forced: also with values that are not wanted, which
    come along with what they were before.
    """
    before = places(cfg)
    for key, value in tried:
        trial = copy.deepcopy(cfg)
        try:
            OmegaConf.update(trial, key, value, force_add=True)
            after = places(trial)
        except (OmegaConfBaseException, TypeError, ValueError):
            continue
        changed = [path for path, now in after.items() if before.get(path, ABSENT) != now]
        wrong = [path for path in changed if not same(_expected(path, wanted), after[path])]
        if not same(value_at(trial, fact.path), fact.value):
            continue
        if fact.spreads or not wrong:
            return Override(key, value, fact.new), trial, []
        if forced and all(path in before and path not in wanted for path in wrong):
            return Override(key, value, fact.new), trial, [(p, before[p]) for p in wrong]
    return None


def _by_element(cfg: DictConfig, fact: Fact) -> list[tuple[str, Any]]:
    """The candidates for a fact; of a list with a single other element, first for that element."""
    now, value = value_at(cfg, fact.path), fact.value
    found: list[tuple[str, Any]] = []
    if isinstance(now, list) and isinstance(value, list) and len(now) == len(value):
        for i, (old, new) in enumerate(zip(now, value, strict=True)):
            if not same(old, new) and not isinstance(new, list | dict):
                element = candidates(cfg, f"{fact.path}.{i}", new)
                # The element itself, or a copy of what holds it, reads worse than the whole list.
                found += [
                    (key, v)
                    for key, v in element
                    if not key.rsplit(".", 1)[-1].isdigit() and not isinstance(v, dict)
                ]
    return found + candidates(cfg, fact.path, value)


def _expected(path: str, wanted: Mapping[str, Any]) -> Any:
    """What a place is wanted to be; ABSENT if nothing says so."""
    if path in wanted:
        return wanted[path]
    parts = path.split(".")
    for length in range(len(parts) - 1, 1, -1):
        holder = wanted.get(".".join(parts[:length]), ABSENT)
        if holder == ABSENT:
            continue
        for part in parts[length:]:
            if isinstance(holder, list) and part.isdigit() and int(part) < len(holder):
                holder = holder[int(part)]
            elif isinstance(holder, dict) and part in holder:
                holder = holder[part]
            else:
                return ABSENT
        return holder
    return ABSENT


def same(a: Any, b: Any) -> bool:
    """Whether two values are the same in a configuration: 1 and 1.0 are, True and 1 are not."""
    if isinstance(a, bool) != isinstance(b, bool):
        return False
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return {str(k) for k in a} == {str(k) for k in b} and all(
            same(dict_value, _by_text(b, key)) for key, dict_value in a.items()
        )
    return bool(a == b) or (isinstance(a, str) and str(a) == str(b))


def _by_text(mapping: Mapping[Any, Any], key: Any) -> Any:
    return next(value for name, value in mapping.items() if str(name) == str(key))
