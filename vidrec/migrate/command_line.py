"""A migrated configuration as the command that trains it."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

from vidrec.migrate.migrated import Migrated
from vidrec.migrate.overriding import Override

# Texts that Hydra's grammar takes as they are.
_PLAIN = re.compile(r"[A-Za-z_./~][\w./:@%+~-]*")
_OTHER_KINDS = re.compile(r"(?i)(true|false|null|nan|[+-]?inf)")


def arguments(migrated: Migrated) -> list[str]:
    """The arguments of `python train.py`, as Hydra reads them."""
    return [
        f"experiment={migrated.experiment}",
        *migrated.choices,
        *map(argument, migrated.overrides),
    ]


def argument(override: Override) -> str:
    """One override in Hydra's grammar."""
    return f"{'+' if override.new else ''}{override.key}={hydra_value(override.value)}"


def command(migrated: Migrated) -> str:
    """The command for a shell, an argument a line."""
    return " \\\n    ".join(["python train.py", *map(shlex.quote, arguments(migrated))])


def hydra_value(value: Any, inner: bool = False) -> str:
    """A value in the grammar of Hydra's command line.

    >>> hydra_value([1, "a b", None, True])
    "[1,'a b',null,true]"
    >>> hydra_value({"_target_": "my.Step", "range": [0.5, 1]})
    '{_target_:my.Step,range:[0.5,1]}'
    >>> hydra_value("1e-3"), hydra_value("it's")
    ("'1e-3'", "'it\\\\'s'")
    """
    if isinstance(value, Mapping):
        items = [f"{hydra_value(key, True)}:{hydra_value(v, True)}" for key, v in value.items()]
        return "{" + ",".join(items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(hydra_value(child, True) for child in value) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    return _text(str(value), inner)


def _text(text: str, inner: bool) -> str:
    """A text, in quotes where Hydra would read it as something else."""
    is_reference = re.fullmatch(r"\$\{[\w.]+\}", text)
    plain = _PLAIN.fullmatch(text) and not (inner and ":" in text)
    if is_reference or (plain and not _OTHER_KINDS.fullmatch(text)):
        return text
    escaped = re.sub(r"(\\+)(?='|$)", r"\1\1", text).replace("'", "\\'")
    return f"'{escaped}'"
