"""Configurations in Python, as MMAction2 1.x has them, read without executing anything.

Both styles are read: `_base_ = [...]` with `{{_base_.x}}`, and `with read_base(): from ...`.
"""

import ast
import copy
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidrec.files.text_files import read_text
from vidrec.migrate.expressions import Expressions, Symbol, as_config
from vidrec.migrate.merging import MergeError, merged, merged_in_place


@dataclass(frozen=True)
class PythonFile:
    """The values of a configuration file and of the files it is based on."""

    values: dict[str, Any]
    read: set[str] = field(default_factory=set)  # names that other values are made of


def read_python(path: str | Path, parents: tuple[Path, ...] = ()) -> PythonFile:
    """The values that a file gives its names, those of its base files below them.

    parents: the files that this one is a base of. Raises ValueError, with file and line, for what
    is not plain data, FileNotFoundError for a missing base.
    """
    file = Path(os.path.normpath(path))
    if file in parents:
        raise ValueError(f"{parents[-1]}: _base_ leads back to {file}")
    text = _with_predefined(read_text(str(file)), file)
    try:
        tree = ast.parse(text, str(file))
        return _Statements(file, (*parents, file)).run(tree)
    except SyntaxError as error:
        raise ValueError(f"{file}:{error.lineno}: not Python: {error.msg}") from None
    except RecursionError:
        raise ValueError(f"{file}: nested too deeply to be read") from None


def _with_predefined(text: str, file: Path) -> str:
    """A text with MMEngine's `{{ fileBasename }}` and the like, and `{{$VARIABLE:default}}`."""
    predefined = {
        "fileDirname": str(file.parent),
        "fileBasename": file.name,
        "fileBasenameNoExtension": file.stem,
        "fileExtname": file.suffix,
    }
    for name, value in predefined.items():
        written = re.compile(r"\{\{\s*" + name + r"\s*\}\}")
        text = value.join(written.split(text))

    def variable(found: re.Match[str]) -> str:
        return os.environ.get(found[1], found[2])

    return re.sub(r"\{\{\s*\$(\w+):(.*?)\s*\}\}", variable, text)


class _Statements:
    """Follows the statements of one file."""

    def __init__(self, file: Path, parents: tuple[Path, ...]) -> None:
        self.file, self.parents = file, parents
        self.expressions = Expressions(file)
        self.base: dict[str, Any] = {}
        self.in_read_base = False
        self.follow: dict[type[ast.stmt], Callable[[Any], None]] = {
            ast.Assign: self._assign,
            ast.AnnAssign: self._assign,
            ast.AugAssign: self._augmented,
            ast.Expr: self._expression,
            ast.Import: self._import,
            ast.ImportFrom: self._import_from,
            ast.With: self._read_base,
            ast.If: self._if,
            ast.Delete: self._delete,
            ast.Pass: lambda statement: None,
        }

    def run(self, tree: ast.Module) -> PythonFile:
        for statement in tree.body:
            if _assigns(statement) == "_base_":
                self._load_bases(statement)
        self._block(tree.body)
        names = {
            name: value
            for name, value in self.expressions.names.items()
            if not name.startswith("_") and not isinstance(value, Symbol)
        }
        try:
            values = merged(names, self.base)
        except MergeError as error:
            raise ValueError(f"{self.file}: {error}") from None
        return PythonFile(values, self.expressions.read)

    def _block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            if _assigns(statement) == "_base_":
                continue
            follow = self.follow.get(type(statement))
            if follow is None:
                self.expressions.refuse(
                    statement,
                    f"'{ast.unparse(statement).splitlines()[0][:80]}' is not read: nothing of "
                    "the file is executed; write the values out",
                )
            follow(statement)

    def _load_bases(self, statement: Any) -> None:
        given = self.expressions.value(statement.value)
        for base in [given] if isinstance(given, str) else list(given):
            if not isinstance(base, str):
                self.expressions.refuse(statement, f"_base_: {base!r} is not a path")
            if "::" in base or "://" in base:
                self.expressions.refuse(
                    statement,
                    f"_base_ names '{base}', a file of an installed package: put a copy beside "
                    "this file and name its path",
                )
            loaded = self._load(statement, self.file.parent / base)
            if twice := sorted(loaded.values.keys() & self.base.keys()):
                self.expressions.refuse(statement, f"two files of _base_ define {twice[0]}")
            self.base |= loaded.values
        self.expressions.names["_base_"] = as_config(self.base)

    def _load(self, statement: ast.stmt, path: Path) -> PythonFile:
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.file}:{statement.lineno}: the base file {os.path.normpath(path)} is not "
                "there; keep the file in its place in MMAction2's configs folder, or pass the "
                "whole configuration that training wrote to work_dirs"
            )
        loaded = read_python(path, self.parents)
        self.expressions.read |= loaded.read
        return loaded

    def _assign(self, statement: Any) -> None:
        if statement.value is None:  # an annotation alone
            return
        value = self.expressions.value(statement.value)
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            self._set(target, value)

    def _set(self, target: ast.expr, value: Any) -> None:
        if not isinstance(target, ast.Subscript | ast.Attribute):
            self.expressions.bind(target, value)
            return
        held = self.expressions.value(target.value)
        item = isinstance(target, ast.Subscript)
        key = self.expressions.value(target.slice) if item else target.attr  # type: ignore[union-attr]
        if not isinstance(held, dict if not item else dict | list):
            self.expressions.refuse(target, f"{ast.unparse(target)} = ... has nothing to be set in")
        try:
            held[key] = value
        except (LookupError, TypeError) as error:
            self.expressions.refuse(target, f"{ast.unparse(target)} = ...: {error}")

    def _augmented(self, statement: ast.AugAssign) -> None:
        target = ast.parse(ast.unparse(statement.target), mode="eval").body
        operation = ast.BinOp(left=target, op=statement.op, right=statement.value)
        self._set(statement.target, self.expressions.value(ast.copy_location(operation, statement)))

    def _expression(self, statement: ast.Expr) -> None:
        """A docstring, or a method that changes a dict or a list."""
        call = statement.value
        if isinstance(call, ast.Constant):
            return
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            held = self.expressions.value(call.func.value)
            change = CHANGES.get((dict if isinstance(held, dict) else type(held), call.func.attr))
            if change is not None:
                self._change(call, held, change)
                return
        self.expressions.value(call)  # refuses with the text

    def _change(self, call: ast.Call, held: Any, change: Callable[..., Any]) -> None:
        arguments = [self.expressions.value(argument) for argument in call.args]
        named = {k.arg: self.expressions.value(k.value) for k in call.keywords if k.arg}
        try:
            change(held, *arguments, **named)
        except (LookupError, TypeError, ValueError) as error:
            self.expressions.refuse(call, f"{ast.unparse(call)[:80]}: {error}")

    def _import(self, statement: ast.Import) -> None:
        for alias in statement.names:
            name = alias.asname or alias.name.split(".")[0]
            self.expressions.names[name] = Symbol(alias.name if alias.asname else name)

    def _import_from(self, statement: ast.ImportFrom) -> None:
        if self.in_read_base:
            self._import_base(statement)
            return
        for alias in statement.names:
            if alias.name == "*":
                self.expressions.refuse(
                    statement, f"'{ast.unparse(statement)}' outside of read_base() is not read"
                )
            module = "." * statement.level + (statement.module or "")
            self.expressions.names[alias.asname or alias.name] = Symbol(f"{module}.{alias.name}")

    def _import_base(self, statement: ast.ImportFrom) -> None:
        if statement.level == 0:
            self.expressions.refuse(
                statement,
                f"'{ast.unparse(statement)}' is of an installed package: put a copy beside this "
                "file and import it relatively",
            )
        folder = self.file.parent
        for _ in range(statement.level - 1):
            folder = folder.parent
        path = folder.joinpath(*(statement.module or "").split("."))
        loaded = self._load(statement, path.with_name(f"{path.name}.py"))
        values = as_config(loaded.values)
        for alias in statement.names:
            if alias.name == "*":
                self.expressions.names |= values
            elif alias.name in values:
                self.expressions.names[alias.asname or alias.name] = values[alias.name]
            else:
                self.expressions.refuse(statement, f"{path}.py defines no '{alias.name}'")

    def _read_base(self, statement: ast.With) -> None:
        calls = [item.context_expr for item in statement.items]
        if len(calls) != 1 or not ast.unparse(calls[0]).endswith("read_base()"):
            self.expressions.refuse(statement, f"'with {ast.unparse(calls[0])}' is not read")
        self.in_read_base = True
        self._block(statement.body)
        self.in_read_base = False

    def _if(self, statement: ast.If) -> None:
        chosen = statement.body if self.expressions.value(statement.test) else statement.orelse
        self._block(chosen)

    def _delete(self, statement: ast.Delete) -> None:
        for target in statement.targets:
            if isinstance(target, ast.Name):
                self.expressions.names.pop(target.id, None)
            elif isinstance(target, ast.Subscript):
                held = self.expressions.value(target.value)
                key = self.expressions.value(target.slice)
                try:
                    del held[key]
                except (LookupError, TypeError) as error:
                    self.expressions.refuse(target, f"del {ast.unparse(target)}: {error}")


def _assigns(statement: ast.stmt) -> str | None:
    """The name that a statement `name = ...` gives a value."""
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    return None


CHANGES: dict[tuple[type, str], Callable[..., Any]] = {
    (dict, "update"): lambda held, *others, **more: held.update(*others, **more),
    (dict, "merge"): merged_in_place,
    (dict, "pop"): lambda held, *key: held.pop(*key),
    (dict, "setdefault"): lambda held, *item: held.setdefault(*item),
    (dict, "clear"): lambda held: held.clear(),
    (list, "append"): lambda held, item: held.append(copy.copy(item)),
    (list, "extend"): lambda held, items: held.extend(items),
    (list, "insert"): lambda held, place, item: held.insert(place, item),
    (list, "pop"): lambda held, *place: held.pop(*place),
    (list, "remove"): lambda held, item: held.remove(item),
}
