"""`--help` of a command: one page, from the comments beside the fields of its schema."""

import ast
import dataclasses
import inspect
import textwrap
import typing
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from vidrec.config import fields, schema
from vidrec.config.group_choices import choices_of

_FLAGS = [
    ("--cfg job [--resolve]", "print the whole configuration, run nothing; --package KEY: a part"),
    ("-m, --multirun", "one run for each of several values: key=a,b"),
    ("--config-dir DIR", "a folder with files of your own for the groups; ./conf needs no flag"),
    ("--info, --hydra-help", "how Hydra composed the configuration; Hydra's own help"),
    ("-sc install=bash", "completion of this command in the shell: docs/config.md"),
]
_OF_TRAINING = {
    "ModelConf": ("weights",),
    "ScheduleConf": ("epochs", "batch_size"),
    "RuntimeConf": ("device", "precision", "num_workers", "resume", "seed", "check_files"),
}


def help_page(
    program: str, summary: str, name: str, examples: Sequence[str], folders: Sequence[Path]
) -> str:
    """What the command does, its arguments, examples, groups and flags.

    program: as it was called. name: of its schema. folders: of configurations.
    """
    owner = getattr(schema, name)
    own = [field.name for field in dataclasses.fields(owner) if field.name not in _groups()]
    rows = [(f"{name}=", meanings(owner)[name]) for name in own]
    if not rows:
        rows = [
            (f"{cls.removesuffix('Conf').lower()}.{key}=", meanings(getattr(schema, cls))[key])
            for cls, keys in _OF_TRAINING.items()
            for key in keys
        ]
        rows.append(
            ("hydra.run.dir=", "the run directory; by default runs/NAME, after the choices")
        )
    groups = [
        (
            f"{group}=NAME",
            f"{len(choices_of(group, folders))} files, such as {_some(group, folders)}",
        )
        for group in (*_groups(), "experiment")
    ]
    parts = [
        f"usage: {program} [group=NAME | key=value | flag ...]\n\n{summary}",
        _table("arguments:", rows),
        "examples:\n" + "\n".join(f"  {program} {example}".rstrip() for example in examples),
        _table("groups, of each of which one file is chosen (docs/config.md):", groups),
        _table("flags, in any order:", _FLAGS),
    ]
    return "\n\n".join(parts)


def meanings(owner: type) -> dict[str, str]:
    """Name of a field -> the comment beside it or above it, and the words that it may be.

    Of a dataclass and its bases.
    """
    found: dict[str, str] = {}
    for cls in reversed(owner.__mro__[:-1]):
        text = textwrap.dedent(inspect.getsource(cls))
        lines = text.splitlines()
        for node in ast.parse(text).body[0].body:  # type: ignore[attr-defined]
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
                continue
            last = lines[(node.end_lineno or node.lineno) - 1]
            above: list[str] = []
            for line in reversed(lines[: node.lineno - 1]):
                if not line.strip().startswith("#"):
                    break
                above.insert(0, line.strip(" #"))
            beside = last[node.end_col_offset or 0 :].strip(" #") if "#" in last else ""
            text = (beside or " ".join(above)).removesuffix(".")
            found[node.target.id] = text[:1].lower() + text[1:] + _choices(cls, node.target.id)
    return found


def _choices(owner: type, name: str) -> str:
    """The words that a field takes, in brackets, or nothing."""
    kind = typing.get_type_hints(owner)[name]
    words = fields.choices(owner.__dataclass_fields__[name]) or ()  # type: ignore[attr-defined]
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        words = tuple(kind)
    return f" ({', '.join(words)})" if words else ""


def _groups() -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(schema.TrainConf))


def _some(group: str, folders: Sequence[Path]) -> str:
    own = [choice for folder in folders[1:] for choice in choices_of(group, [folder])]
    names = [*own, *choices_of(group, folders[:1])][:3]
    return ", ".join(name if len(name) < 30 else f"{name[:27]}..." for name in names)


def _table(title: str, rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    lines = []
    for name, text in rows:
        first, *more = textwrap.wrap(text, 96 - width) or [""]
        lines += [f"  {name:<{width}}  {first}", *(" " * (width + 4) + line for line in more)]
    return "\n".join([title, *(line.rstrip() for line in lines)])
