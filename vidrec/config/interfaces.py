"""Whether the classes that `_target_` nodes name offer what they are used for.

What is used is said by the interfaces of the code, the Protocols that annotate its arguments. They
are imported here by name only when a configuration is checked, as the targets themselves are.
"""

import collections.abc
import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from vidrec.config.signatures import hints, locate, target_nodes

# Of the nodes that vidrec itself makes; the others are arguments, whose annotations say it.
_ROLES = {
    "model.net": "vidrec.engine.job.Network",
    "model.loss": "vidrec.engine.job.Loss",
    "data.train": "vidrec.data.loader.Dataset",
    "data.val": "vidrec.data.loader.Dataset",
    "data.test": "vidrec.data.loader.Dataset",
    "data.metric": "vidrec.engine.metric.Metric",
    "schedule.optimizer": "torch.optim.Optimizer",
    "schedule.mixing": "vidrec.data.transforms.mixing.Mix",
}
_SPECIAL = ("__call__", "__len__", "__getitem__")


def unfit_classes(tree: Mapping[str, object]) -> Iterator[str]:
    """A sentence for each class that lacks a member of its interface.

    tree: a resolved configuration, whose targets can all be imported.
    """
    for path, node in target_nodes(tree):
        if path in _ROLES:
            yield from _unfit(path, node, locate(_ROLES[path]))
        target = locate(str(node["_target_"]))
        known = hints(target.__init__ if inspect.isclass(target) else target)  # type: ignore[misc]
        for key, value in node.items():
            yield from _argument(f"{path}.{key}", value, known.get(key))


def _argument(path: str, value: object, annotation: Any) -> Iterator[str]:
    """The same for an argument: a node, or a mapping or a list of nodes."""
    options = _options(annotation)
    if isinstance(value, Mapping) and "_target_" in value:
        interfaces = [option for option in options if _is_interface(option)]
        found = [list(_unfit(path, value, interface)) for interface in interfaces]
        if len(interfaces) == len(options) and all(found):
            yield from found[0]
        return
    children = value.items() if isinstance(value, Mapping) else []
    for option in options:
        origin, inner = typing.get_origin(option), typing.get_args(option)
        if origin in (dict, collections.abc.Mapping) and len(inner) == 2:
            for key, child in children:
                yield from _argument(f"{path}.{key}", child, inner[1])


def _options(annotation: Any) -> list[Any]:
    """The members of a union but for None, or the annotation alone."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [option for option in typing.get_args(annotation) if option is not type(None)]
    return [annotation]


def _is_interface(option: Any) -> bool:
    return _is_module(option) or getattr(option, "_is_protocol", False) or _is_function(option)


def _is_module(kind: Any) -> bool:
    """Whether it is torch.nn.Module, which is not imported here."""
    name = (getattr(kind, "__module__", ""), getattr(kind, "__name__", ""))
    return inspect.isclass(kind) and name == ("torch.nn.modules.module", "Module")


def _is_function(option: Any) -> bool:
    return typing.get_origin(option) is collections.abc.Callable


def _unfit(path: str, node: Mapping[str, object], interface: Any) -> Iterator[str]:
    """What the class of a node lacks; nothing where its class is not known."""
    name = str(node["_target_"])
    made = locate(name)
    is_class = inspect.isclass(made)
    if not is_class:  # a function: it returns an object of this class or of a subclass
        made = hints(made).get("return")  # type: ignore[assignment]
    if not inspect.isclass(made):
        return
    if _is_function(interface):
        if _method(made, "__call__") is None:
            yield f"{path}: {name} cannot be called: it needs __call__ {_MORE}"
    elif getattr(interface, "_is_protocol", False):
        yield from _members(path, name, made, interface)
    elif not any(base is interface or _same(base, interface) for base in made.__mro__):
        yield f"{path}: {name} is no subclass of {_full_name(interface)} {_MORE}"
    elif is_class and _is_module(interface) and made.forward.__name__ == "_forward_unimplemented":  # type: ignore[attr-defined]
        yield f"{path}: {name} has no forward {_MORE}"


_MORE = "(docs/own_code.md)"


def _same(base: type, interface: type) -> bool:
    return _full_name(base) == _full_name(interface)


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _members(path: str, name: str, made: type, interface: Any) -> Iterator[str]:
    """The members of a Protocol that a class lacks, or that take other arguments."""
    members = _declared(interface)
    missing = [member for member in members if not _has(made, member, members[member])]
    if missing:
        every = ", ".join(members)
        yield (
            f"{path}: {name} has no {' and no '.join(map(repr, missing))}; a "
            f"{interface.__name__.lower()} needs {every} {_MORE}"
        )
        return
    for member, declared in members.items():
        if inspect.isfunction(declared):
            yield from _call(path, f"{name}.{member}", _method(made, member), declared)


def _call(path: str, name: str, own: object, declared: types.FunctionType) -> Iterator[str]:
    """A method that cannot be called as the Protocol declares it."""
    wanted = list(inspect.signature(declared).parameters)[1:]
    if not inspect.isfunction(own):  # not known before an instance is made
        return
    try:
        own_parameters = list(inspect.signature(own).parameters.values())[1:]
        signature = inspect.Signature(own_parameters)
        signature.bind(*wanted)
    except TypeError:
        shown = ", ".join(parameter.name for parameter in own_parameters)
        yield f"{path}: {name}({shown}) is called as {name}({', '.join(wanted)}) {_MORE}"


def _declared(interface: type) -> dict[str, object]:
    """Name -> function, property or None, in the order of the Protocol."""
    found: dict[str, object] = {}
    for base in reversed(interface.__mro__):
        if getattr(base, "_is_protocol", False) and base.__module__ != "typing":
            names = {**vars(base).get("__annotations__", {}), **vars(base)}
            found |= {
                name: vars(base).get(name)
                for name in names
                if not name.startswith("_") or name in _SPECIAL
            }
    return found


def _has(made: type, member: str, declared: object) -> bool:
    """Whether instances have a member; what a method sets counts, if it need not be a method."""
    if any(member in vars(base) for base in made.__mro__):
        return getattr(_method(made, member), "__name__", "") != "_forward_unimplemented"
    if inspect.isfunction(declared):
        return False
    # Set by a method: an instance has it.
    functions = [f for base in made.__mro__ for f in vars(base).values() if inspect.isfunction(f)]
    return any(member in function.__code__.co_names for function in functions) or any(
        member in vars(base).get("__annotations__", {}) for base in made.__mro__
    )


def _method(made: type, member: str) -> object:
    """The function of a method; torch.nn.Module's is forward."""
    if member == "__call__" and any(map(_is_module, made.__mro__)):
        member = "forward"
    # Those of its metaclass, which has a __call__, are not of its instances.
    return next((vars(base)[member] for base in made.__mro__ if member in vars(base)), None)
