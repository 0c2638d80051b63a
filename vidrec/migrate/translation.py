"""What has been made of another codebase's configuration so far."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vidrec.config.signatures import locate, wrong_arguments
from vidrec.migrate.composed import ABSENT
from vidrec.migrate.overriding import Fact, same


@dataclass(frozen=True)
class Row:
    """A key of the other configuration, its value, and what there is to say."""

    key: str
    value: Any
    why: str


@dataclass
class Translation:
    """Towards the composed configuration `cfg` of one experiment.

    choices: `group=file` to compose with first. facts: what the result must have. missing: what has
    no counterpart here. notes: what needs none. experiment: its name.
    """

    cfg: DictConfig
    choices: list[str] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    missing: list[Row] = field(default_factory=list)
    notes: list[Row] = field(default_factory=list)
    experiment: str = ""

    def want(self, path: str, value: Any, source: str, **options: Any) -> None:
        """Note that the key `source` asks for a value at `path`."""
        self.facts.append(Fact(path, value, source, options.pop("given", value), **options))

    def choose(self, choice: str) -> None:
        """Choose a file of a group, unless one is chosen already."""
        group = choice.partition("=")[0]
        if not any(other.startswith(f"{group}=") for other in self.choices):
            self.choices.append(choice)

    def lack(self, source: str, value: Any, why: str) -> None:
        self.missing.append(Row(source, value, why))

    def note(self, source: str, value: Any, why: str) -> None:
        self.notes.append(Row(source, value, why))

    def arguments(
        self, path: str, own: Mapping[str, Any], node: Mapping[str, Any], source: str
    ) -> None:
        """Ask for the arguments in which `node` differs from `own`, the node at `path`; one that
        neither gives stays out.
        """
        for name in [*node, *(name for name in own if name not in node)]:
            value = node.get(name, ABSENT)
            if not same(own.get(name, ABSENT), value):
                self.argument(f"{path}.{name}", value, f"{source}.{name}")

    def argument(self, path: str, value: Any, source: str, given: Any = ABSENT) -> None:
        """Ask for an argument of a `_target_` node, if its class has it.

        value: ABSENT for the default of the class.
        """
        parent, _, name = path.rpartition(".")
        given = value if given == ABSENT else given
        target = OmegaConf.select(self.cfg, f"{parent}._target_", default=None)
        if target is None:
            if OmegaConf.select(self.cfg, parent, default=None) is None:
                self.lack(source, given, f"the experiment has no {parent}")
            else:
                self.want(path, value, source, given=given)
            return
        problem = wrong_argument(target, name, value)
        default = default_of(target, name)
        if problem:
            self.lack(source, given, problem)
        elif value == ABSENT and default == ABSENT:
            self.lack(source, given, f"{path} has no default here: give it a value")
        else:
            wanted = default if value == ABSENT else value
            # What is in the node may take the value from it.
            spreads = f"${{..{name}}}" in OmegaConf.to_yaml(OmegaConf.select(self.cfg, parent))
            self.want(path, wanted, source, given=given, default=default, spreads=spreads)


def wrong_argument(target: str, name: str, value: Any) -> str | None:
    """Why a class cannot take an argument."""
    node = {"_target_": target, "_partial_": True} | ({} if value == ABSENT else {name: value})
    problems = wrong_arguments({"node": node})
    prefix = f"node.{name}"
    found = [problem.partition(": ")[2] for problem in problems if problem.startswith(prefix)]
    return found[0] if found else None


def default_of(target: str, name: str) -> Any:
    """The default of an argument, also of one that is passed on to a base class; or ABSENT."""
    found = locate(target)
    functions: list[Any] = [found]
    if inspect.isclass(found):
        functions = [vars(c)["__init__"] for c in found.__mro__ if "__init__" in vars(c)]
    for function in functions:
        try:
            parameter = inspect.signature(function).parameters.get(name)
        except (TypeError, ValueError):
            continue
        if parameter is not None and parameter.default is not parameter.empty:
            default = parameter.default
            return list(default) if isinstance(default, tuple) else default
    return ABSENT
