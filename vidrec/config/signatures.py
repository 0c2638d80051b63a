"""The arguments of `_target_` nodes against the signatures of what they name."""

import importlib
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from vidrec.config.annotations import misfit
from vidrec.config.full_keys import elsewhere
from vidrec.config.schema import ParamRule
from vidrec.errors import did_you_mean

RESERVED = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}

Parameters = dict[str, inspect.Parameter]
Target = Callable[..., Any]


Origins = Mapping[tuple[str, ...], tuple[int, str]]


def wrong_arguments(
    tree: Mapping[str, object], origins: Callable[[], Origins] = dict
) -> Iterator[str]:
    """What is wrong with the `_target_` nodes of a resolved configuration, at any depth.

    origins: what gave each path; see `vidrec.config.contributions`. Called if something is wrong.
    """
    for path, node in target_nodes(tree):
        yield from _wrong_arguments(path, node, origins)


def target_nodes(node: object, path: str = "") -> Iterator[tuple[str, Mapping[str, object]]]:
    """Every mapping that has a `_target_`, with its path."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from target_nodes(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from target_nodes(value, f"{path}.{i}")


def _wrong_arguments(
    path: str, node: Mapping[str, object], origins: Callable[[], Origins]
) -> Iterator[str]:
    try:
        target = locate(str(node["_target_"]))
    except (ImportError, AttributeError) as error:
        yield f"{path}._target_: {node['_target_']} cannot be used: {error}"
        return
    signature = _signature(target)
    if signature is None:
        return
    parameters, takes_any = signature
    name = str(node["_target_"]).rsplit(".", 1)[-1]
    if not takes_any:
        for key in (key for key in node if key not in RESERVED | parameters.keys()):
            hint = _inherited(path, key, str(node["_target_"]), origins())
            near = did_you_mean(key, list(parameters))
            other = "" if near.startswith("did you mean") else elsewhere(f"{path}.{key}")
            hint = hint or f"; {other or near}"
            yield f"{path}.{key}: {name} takes no '{key}'{hint}"
    yield from _misfits(path, node, parameters)
    if not node.get("_partial_", False):
        yield from _missing_arguments(path, node, parameters)


def _inherited(path: str, key: str, target: str, origins: Origins) -> str | None:
    """Where an argument comes from that was there before the class was."""
    keys = tuple(path.split("."))
    of_class, of_argument = origins.get((*keys, "_target_")), origins.get((*keys, key))
    if of_class is None or of_argument is None or of_argument[0] >= of_class[0]:
        return None
    return (
        f", which {of_argument[1]} gives to the class that was there before: replace the node whole"
        f" with ~{path} '+{path}={{_target_: {target}}}', or in a file with _replace_: true beside "
        "its _target_ (docs/own_code.md)"
    )


def _misfits(path: str, node: Mapping[str, object], parameters: Parameters) -> Iterator[str]:
    """Arguments of a wrong type."""
    for key, value in node.items():
        if key in parameters:
            yield from misfit(f"{path}.{key}", value, parameters[key].annotation)


def _missing_arguments(
    path: str, node: Mapping[str, object], parameters: Parameters
) -> Iterator[str]:
    name = str(node["_target_"]).rsplit(".", 1)[-1]
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in node:
            yield f"{path}.{key}: {name} needs a value for '{key}'"


def wrong_rules(path: str, rules: Mapping[str, object]) -> Iterator[str]:
    """What is wrong with the rules of `schedule.param_groups`; null drops an inherited one."""
    annotations = typing.get_type_hints(ParamRule)
    for name, rule in rules.items():
        if rule is not None and not isinstance(rule, Mapping):
            yield f"{path}.{name}={rule!r} is not a rule such as {{name: cls_head, lr: 5}}"
            continue
        for key, value in (rule or {}).items():
            where = f"{path}.{name}.{key}"
            if key not in annotations:
                yield f"{where}: a rule has no '{key}'; {did_you_mean(key, list(annotations))}"
            else:
                yield from misfit(where, value, annotations[key])


def locate(target: str) -> Target:
    """The class or function of a dotted path.

    Raises ImportError or AttributeError, which say what is wrong.
    """
    parts = target.split(".")
    for split in range(len(parts), 0, -1):
        module_name = ".".join(parts[:split])
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            # Only "this very module does not exist" goes on to its parent.
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise
            continue
        return _member(module, module_name, parts[split:])
    raise ModuleNotFoundError(f"there is no module '{parts[0]}'")


def _member(module: ModuleType, module_name: str, names: list[str]) -> Target:
    found: Any = module
    for name in names:
        if not hasattr(found, name):
            public = [k for k, value in vars(found).items() if callable(value) and k[0] != "_"]
            raise AttributeError(f"{module_name} has no '{name}'; {did_you_mean(name, public)}")
        found = getattr(found, name)
    if not callable(found):
        raise AttributeError(f"{'.'.join([module_name, *names])} is not a class or a function")
    return found


def _signature(target: Target) -> tuple[Parameters, bool] | None:
    """Parameters by name, and whether any other keyword is accepted; None where it is unknown.

    The options that a constructor passes on (`**options`) are those of their TypedDict, or else
    the parameters of the base class.
    """
    functions: list[Target] = [target]
    if inspect.isclass(target):
        bases = [base for base in target.__mro__ if base is not object]
        functions = [vars(base)["__init__"] for base in bases if "__init__" in vars(base)]
    parameters: Parameters = {}
    for depth, function in enumerate(functions):
        try:
            found = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            return None
        known = hints(function)
        own = _named(found[1:] if inspect.isclass(target) else found, known)
        if depth:  # what a base class requires is the subclass's business
            own = {name: parameter.replace(default=None) for name, parameter in own.items()}
        options = _options(known)
        parameters = {**options, **own, **parameters}
        if options or not any(parameter.kind is parameter.VAR_KEYWORD for parameter in found):
            return parameters, False
    return parameters, True


def _named(found: list[inspect.Parameter], annotations: Mapping[str, object]) -> Parameters:
    """The parameters that can be given by name, with their annotations resolved."""
    return {
        parameter.name: parameter.replace(
            annotation=annotations.get(parameter.name, parameter.empty)
        )
        for parameter in found
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }


def hints(function: Target) -> dict[str, object]:
    """The annotations of a function, resolved; none where that fails."""
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):
        return {}


def _options(annotations: Mapping[str, object]) -> Parameters:
    """The keys of a TypedDict that types `**options` (PEP 692), as optional parameters."""
    for annotation in annotations.values():
        if typing.get_origin(annotation) is typing.Unpack:
            options = typing.get_type_hints(typing.get_args(annotation)[0])
            kind = inspect.Parameter.KEYWORD_ONLY
            return {
                name: inspect.Parameter(name, kind, default=None, annotation=option)
                for name, option in options.items()
            }
    return {}
