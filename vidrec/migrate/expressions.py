"""Values of Python expressions, worked out from the syntax tree: nothing of a file is executed."""

import ast
import copy
import math
import operator
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import singledispatchmethod
from pathlib import Path
from typing import Any, NoReturn

LARGEST = 100_000  # elements of a list or characters of a text that an expression may make


@dataclass(frozen=True)
class Symbol:
    """A module, class or function that a file imports; only its name is known."""

    name: str  # torch.optim.SGD

    @property
    def last(self) -> str:
        return self.name.rsplit(".", 1)[-1]


class ConfigDict(dict[str, Any]):
    """A mapping of a base file; MMEngine updates these recursively."""

    def update(self, *others: Any, **more: Any) -> None:
        for key, value in dict(*others, **more).items():
            inner = self.get(key)
            if isinstance(inner, ConfigDict) and isinstance(value, dict):
                inner.update(value)
            else:
                self[key] = as_config(value)


def as_config(value: Any) -> Any:
    """A copy of a value whose mappings are `ConfigDict`, at any depth."""
    if isinstance(value, dict):
        return ConfigDict({key: as_config(child) for key, child in value.items()})
    if isinstance(value, list | tuple):
        return type(value)(as_config(child) for child in value)
    return value


def _deepcopy(value: Any) -> Any:
    return copy.deepcopy(value)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "dict": dict, "list": list, "tuple": tuple, "set": set, "len": len, "int": int, "float": float,
    "str": str, "bool": bool, "min": min, "max": max, "sum": sum, "abs": abs, "round": round,
    "sorted": sorted, "range": lambda *bounds: list(range(*bounds)), 
    "zip": lambda *lists: list(zip(*lists, strict=False)),
    "enumerate": lambda *a: list(enumerate(*a)), "copy.deepcopy": _deepcopy,
    "copy.copy": copy.copy, "math.ceil": math.ceil, "math.floor": math.floor,
    "math.sqrt": math.sqrt, "os.path.join": posixpath.join, "os.path.normpath": posixpath.normpath,
    "os.path.basename": posixpath.basename, "os.path.dirname": posixpath.dirname,
}  # fmt: skip
# Methods that give a value and change nothing.
METHODS: dict[type, set[str]] = {
    dict: {"get", "keys", "values", "items", "copy"},
    list: {"copy", "index", "count"},
    tuple: {"index", "count"},
    str: {"format", "join", "lower", "upper", "replace", "split", "strip", "rstrip", "lstrip"},
}
OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
    ast.Pow: operator.pow, ast.BitOr: operator.or_,
}  # fmt: skip
UNARY: dict[type[ast.AST], Callable[[Any], Any]] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_,
}  # fmt: skip
COMPARED: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
_BASE_IN_TEXT = re.compile(r"\{\{\s*_base_((?:\.\w+)+)\s*\}\}")


@dataclass
class Expressions:
    """What the expressions of one file stand for.

    names: the values of the names so far. read: gets the names that were used.
    """

    file: Path
    names: dict[str, Any] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)

    def refuse(self, node: ast.AST, problem: str) -> NoReturn:
        """Raise ValueError with file and line."""
        raise ValueError(f"{self.file}:{getattr(node, 'lineno', '?')}: {problem}")

    @singledispatchmethod
    def value(self, node: ast.AST) -> Any:
        """The value of an expression. Raises ValueError if that is not plain data."""
        self._unread(node)

    @value.register
    def _(self, node: ast.Constant) -> Any:
        if isinstance(node.value, str):
            return _BASE_IN_TEXT.sub(lambda found: str(self._base(node, found[1])), node.value)
        return node.value

    @value.register
    def _(self, node: ast.Name) -> Any:
        if node.id in self.names:
            self.read.add(node.id)
            return self.names[node.id]
        if node.id in FUNCTIONS:
            return Symbol(node.id)
        self.refuse(node, f"the name '{node.id}' has no value here")

    @value.register
    def _(self, node: ast.List) -> Any:
        return self._items(node.elts)

    @value.register
    def _(self, node: ast.Tuple) -> Any:
        return tuple(self._items(node.elts))

    @value.register
    def _(self, node: ast.Set) -> Any:
        inner = node.elts[0]
        # {{_base_.x}}, which Python reads as a set in a set.
        if len(node.elts) == 1 and isinstance(inner, ast.Set) and len(inner.elts) == 1:
            return copy.deepcopy(self.value(inner.elts[0]))
        return self._items(node.elts)

    @value.register
    def _(self, node: ast.Dict) -> Any:
        made: dict[Any, Any] = {}
        for key, child in zip(node.keys, node.values, strict=True):
            if key is None:
                made |= self._mapping(child)
            else:
                made[self._key(key)] = self.value(child)
        return made

    @value.register
    def _(self, node: ast.JoinedStr) -> Any:
        return "".join(str(self.value(part)) for part in node.values)

    @value.register
    def _(self, node: ast.FormattedValue) -> Any:
        spec = self.value(node.format_spec) if node.format_spec else ""
        value = self.value(node.value)
        if node.conversion != -1:
            value = {"r": repr, "a": ascii}.get(chr(node.conversion), str)(value)
        return self._made(node, lambda: format(value, spec), "{" + spec)

    @value.register
    def _(self, node: ast.BinOp) -> Any:
        compute = OPERATORS.get(type(node.op))
        if compute is None:
            self.refuse(node, f"{ast.unparse(node)[:80]}: this operator is not read")
        left, right = self.value(node.left), self.value(node.right)
        self._check_size(node, left, right)
        template = left if isinstance(left, str) and isinstance(node.op, ast.Mod) else ""
        return self._made(node, lambda: compute(left, right), template)

    @value.register
    def _(self, node: ast.UnaryOp) -> Any:
        compute = UNARY.get(type(node.op))
        if compute is None:
            self.refuse(node, f"{ast.unparse(node)[:80]}: this operator is not read")
        value = self.value(node.operand)
        return self._made(node, lambda: compute(value))

    @value.register
    def _(self, node: ast.BoolOp) -> Any:
        result: Any = None
        for child in node.values:
            result = self.value(child)
            if bool(result) == isinstance(node.op, ast.Or):
                break
        return result

    @value.register
    def _(self, node: ast.Compare) -> Any:
        left = self.value(node.left)
        for kind, child in zip(node.ops, node.comparators, strict=True):
            right = self.value(child)
            if not COMPARED[type(kind)](left, right):
                return False
            left = right
        return True

    @value.register
    def _(self, node: ast.IfExp) -> Any:
        return self.value(node.body if self.value(node.test) else node.orelse)

    @value.register
    def _(self, node: ast.Subscript) -> Any:
        held = self.value(node.value)
        index = self.value(node.slice)
        return self._made(node, lambda: held[index])

    @value.register
    def _(self, node: ast.Slice) -> Any:
        bounds = (node.lower, node.upper, node.step)
        return slice(*(None if bound is None else self.value(bound) for bound in bounds))

    @value.register
    def _(self, node: ast.Attribute) -> Any:
        held = self.value(node.value)
        if isinstance(held, Symbol):
            return Symbol(f"{held.name}.{node.attr}")
        if isinstance(held, dict) and node.attr in held:
            if isinstance(node.value, ast.Name) and node.value.id == "_base_":
                self.read.add(node.attr)
            return held[node.attr]
        self.refuse(node, f"{ast.unparse(node)}: there is no '{node.attr}'")

    @value.register
    def _(self, node: ast.ListComp) -> Any:
        """Of one loop; its names end with it."""
        if len(node.generators) != 1:
            self.refuse(node, "nested loops are not read: write the list out")
        loop, before, made = node.generators[0], dict(self.names), []
        for item in self.value(loop.iter):
            self.bind(loop.target, item)
            if all(self.value(test) for test in loop.ifs):
                made.append(self.value(node.elt))
        self.names.clear()
        self.names.update(before)
        return made

    @value.register
    def _(self, node: ast.Call) -> Any:
        arguments, named = self._items(node.args), self._named(node.keywords)
        if isinstance(node.func, ast.Attribute):
            held = self.value(node.func.value)
            kind = next((kind for kind in METHODS if isinstance(held, kind)), None)
            if kind and node.func.attr in METHODS[kind]:
                method = getattr(kind, node.func.attr)
                template = held if node.func.attr == "format" else ""
                return self._made(node, lambda: method(held, *arguments, **named), template)
        if not isinstance(node.func, ast.Name | ast.Attribute):
            self._unread(node)
        function = self.value(node.func)
        if not isinstance(function, Symbol) or function.name not in FUNCTIONS:
            self._unread(node)
        if function.name == "range" and any(abs(number) > LARGEST for number in arguments):
            self.refuse(node, f"{ast.unparse(node)[:80]} has too many numbers")
        return self._made(node, lambda: FUNCTIONS[function.name](*arguments, **named))

    def _unread(self, node: ast.AST) -> NoReturn:
        self.refuse(
            node,
            f"{ast.unparse(node)[:80]} is not read: nothing of the file is executed, only "
            "literals, dict(...), names, f-strings and arithmetic have a value; write it out",
        )

    def bind(self, target: ast.AST, value: Any) -> None:
        """Give names their values: `a = value`, or `a, b = value`."""
        if isinstance(target, ast.Name):
            self.names[target.id] = value
        elif isinstance(target, ast.Tuple | ast.List):
            values = list(value) if isinstance(value, list | tuple) else []
            if len(values) != len(target.elts):
                self.refuse(target, f"{ast.unparse(target)} are not as many as the values")
            for child, one in zip(target.elts, values, strict=True):
                self.bind(child, one)
        else:
            self.refuse(target, f"{ast.unparse(target)} = ... is not read")

    def _items(self, nodes: list[ast.expr]) -> list[Any]:
        made: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                made.extend(self.value(node.value))
            else:
                made.append(self.value(node))
        return made

    def _named(self, keywords: list[ast.keyword]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for keyword in keywords:
            if keyword.arg is None:
                made |= self._mapping(keyword.value)
            else:
                made[keyword.arg] = self.value(keyword.value)
        return made

    def _mapping(self, node: ast.expr) -> Mapping[str, Any]:
        value = self.value(node)
        if not isinstance(value, dict):
            self.refuse(node, f"**{ast.unparse(node)[:80]} is not a dict")
        return value

    def _key(self, node: ast.expr) -> Any:
        key = self.value(node)
        if not isinstance(key, str | int | float | bool | None):
            self.refuse(node, f"{ast.unparse(node)[:80]} is not a key")
        return key

    def _base(self, node: ast.AST, names: str) -> Any:
        value = self.names.get("_base_")
        for name in names.split(".")[1:]:
            if not isinstance(value, dict) or name not in value:
                self.refuse(node, f"_base_{names}: the files of _base_ have no '{name}'")
            self.read.add(name)
            value = value[name]
        return value

    def _made(self, node: ast.AST, compute: Callable[[], Any], template: str = "") -> Any:
        """The result of a computation, whose errors get file and line."""
        if re.search(r"[{%][^}a-z]*\d{6}", template):
            self.refuse(node, f"{ast.unparse(node)[:80]} asks for a very long text")
        try:
            return compute()
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            self.refuse(node, f"{ast.unparse(node)[:80]}: {type(error).__name__}: {error}")

    def _check_size(self, node: ast.BinOp, left: Any, right: Any) -> None:
        """Refuse results that would fill the memory."""
        number = next((v for v in (left, right) if isinstance(v, int | float)), 0)
        held = next((v for v in (left, right) if isinstance(v, str | list | tuple)), None)
        repeats = isinstance(node.op, ast.Mult) and held is not None
        powers = isinstance(node.op, ast.Pow) and isinstance(right, int | float)
        if (repeats and number * len(held or ()) > LARGEST) or (powers and abs(right) > 1000):
            self.refuse(node, f"{ast.unparse(node)[:80]} is too large")
