"""Docstrings as Markdown: parameters become a list, examples become blocks of code."""

import re
from pathlib import Path
from typing import Any

import griffe

_COMMENT = re.compile(r"(?<=  )# .+$")
_EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)
_RESULT = re.compile(r"(?<=\. )(Returns|Raises|Yields) ")


class Readable(griffe.Extension):
    """Parts what is one paragraph in the source, `a: (A, 2). b: (B, 2). Returns (A, B).`"""

    def on_object(self, *, obj: griffe.Object, **rest: Any) -> None:
        if obj.docstring:
            names = _explained_names(obj)
            blocks = obj.docstring.value.split("\n\n")
            obj.docstring.value = "\n\n".join(_readable(block, names) for block in blocks)

    def on_attribute_instance(self, *, attr: griffe.Attribute, **rest: Any) -> None:
        """Fields of dataclasses and keys of batches are documented by comments."""
        if attr.docstring or not attr.lineno or not isinstance(attr.filepath, Path):
            return
        lines = attr.lines_collection[attr.filepath]
        above = [lines[attr.lineno - 2].strip()] if attr.lineno > 1 else []
        own = [match[0] for line in attr.lines for match in _COMMENT.finditer(line)]
        if comments := [line for line in [*above, *own] if line.startswith("# ")]:
            text = " ".join(line.removeprefix("# ") for line in comments)
            attr.docstring = griffe.Docstring(text, parent=attr)


def _explained_names(obj: griffe.Object) -> list[str]:
    """Names that the docstring of a function or class may explain."""
    if isinstance(obj, griffe.Function):
        return [parameter.name for parameter in obj.parameters]
    if isinstance(obj, griffe.Class):
        return [*obj.attributes, *(parameter.name for parameter in obj.parameters)]
    return []


def _readable(block: str, names: list[str]) -> str:
    """One block between empty lines as Markdown."""
    if _EXAMPLE.match(block):
        return f"```pycon\n{block}\n```"
    name = f"(?:{'|'.join(map(re.escape, names))})"
    explained = re.compile(rf"(?:^|(?<=[.,;] ))({name}(?:, {name})*): ", re.MULTILINE)
    first = explained.search(block)
    if not names or not first:
        return block
    items = re.sub(r"\s*\n\s*", " ", block[first.start() :])
    items = explained.sub(r"\n- `\1`: ", items)
    return block[: first.start()] + "\n" + _RESULT.sub(r"\n\n\1 ", items)
