"""The result: an experiment, what to change in it, and what could not be translated."""

from dataclasses import dataclass, replace
from typing import Any

from vidrec.migrate.composed import ABSENT, places
from vidrec.migrate.overriding import Override, overrides_for, same
from vidrec.migrate.translation import Row, Translation

_GROUPS = ("model", "data", "schedule", "runtime")  # the order of the overrides


@dataclass(frozen=True)
class Migrated:
    """What another codebase's configuration is here."""

    experiment: str
    choices: list[str]  # group=file
    overrides: list[Override]
    missing: list[Row]  # what has no counterpart here
    notes: list[Row]  # what needs none
    values: dict[str, Any]  # path -> what composing these must give
    problem: str | None = None  # why it does not run as it stands

    @property
    def size(self) -> tuple[int, int]:
        """How far it is from the experiment."""
        return len(self.missing), len(self.overrides) + 2 * len(self.choices)


def settled(experiment: str, result: Translation) -> Migrated:
    """The overrides for a finished translation."""
    overrides, unmet, cfg = overrides_for(result.cfg, result.facts)
    missing = result.missing + [
        Row(fact.source, fact.given, f"{fact.path} cannot be {fact.value!r} here by itself")
        for fact in unmet
    ]
    return Migrated(
        experiment,
        result.choices,
        in_order(overrides),
        list({(row.key, row.why): row for row in missing}.values()),
        list({(row.key, row.why): row for row in result.notes}.values()),
        places(cfg),
    )


def pinned(migrated: Migrated, composed: dict[str, Any]) -> Migrated:
    """The same with a value for every place that composing would give another one.

    composed: path -> value, of the command as it is. Composition adapts some values to others, such
    as times to the number of epochs.
    """
    known = {override.key for override in migrated.overrides}
    more = [
        Override(path, value)
        for path, value in _whole(migrated.values).items()
        if not same(_whole(composed).get(path, ABSENT), value) and path not in known
    ]
    return replace(migrated, overrides=in_order([*migrated.overrides, *more]))


def in_order(overrides: list[Override]) -> list[Override]:
    """Overrides by group, otherwise as they came."""
    return sorted(overrides, key=lambda override: _GROUPS.index(override.key.split(".")[0]))


def _whole(values: dict[str, Any]) -> dict[str, Any]:
    """The same with lists as single values."""
    made: dict[str, Any] = {}
    for path, value in values.items():
        parent, _, last = path.rpartition(".")
        if last.isdigit():
            made.setdefault(parent, []).append(value)
        else:
            made[path] = value
    return made
