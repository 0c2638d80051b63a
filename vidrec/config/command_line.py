"""The command line of a command that Hydra composes: its flags, in any place, and its overrides."""

import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override

from vidrec.config.arguments import asks_for_sweep
from vidrec.config.conf_folders import search_path, without_folders
from vidrec.config.overrides import lenient
from vidrec.config.run_name import former_short_name, short_name
from vidrec.config.values import quoted, readable
from vidrec.errors import ConfigError


@dataclass(frozen=True)
class CommandLine:
    """flags: of Hydra. overrides: as Hydra reads them, with the search path."""

    flags: Namespace
    overrides: list[str]

    @property
    def is_sweep(self) -> bool:
        return bool(self.flags.multirun)

    def of_runs(self) -> Iterator[list[str]]:
        """The overrides of single runs that have every value of a sweep once."""
        parsed = OverridesParser.create().parse_overrides(self.overrides) if self.is_sweep else []
        values = [_values(override) for override in parsed]
        values = [options for options in values if options]
        first = [options[0] for options in values] if self.is_sweep else self.overrides
        yield first
        for i, options in enumerate(values):
            for option in options[1:]:
                yield [*first[:i], option, *first[i + 1 :]]

    def for_hydra(self) -> list[str]:
        """The arguments that Hydra's own parser understands."""
        flags = self.flags
        switches = ("help", "multirun", "resolve", "hydra_help", "shell_completion")
        given = [f"--{name.replace('_', '-')}" for name in switches if getattr(flags, name)]
        for name in ("cfg", "package", "info", "experimental_rerun"):
            if value := getattr(flags, name):
                given += [f"--{name.replace('_', '-')}", value]
        return [*given, *self.overrides]


# Flags of vidrec's own, and the values that they stand for.
_SHORT_FOR = {"--no-check": "runtime.check_files=false"}


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """The arguments with the values that flags of vidrec's own stand for."""
    return [_SHORT_FOR.get(argument, argument) for argument in arguments]


def read(arguments: Sequence[str], folders: Sequence[Path]) -> CommandLine:
    """The command line in the form that Hydra reads, in whatever order flags and overrides are.

    arguments: without slips. folders: of configurations, vidrec's own first. Raises ConfigError for
    flags that do not fit, and for values that cannot be read.
    """
    flags, overrides = _split(arguments)
    if flags.shell_completion:
        return CommandLine(flags, overrides)  # install=bash is no key
    given = lenient(readable(without_folders(overrides), is_sweep=flags.multirun))
    if flags.multirun:
        given = _of_sweep(given)
    return CommandLine(flags, [*given, *search_path(folders)])


def _split(arguments: Sequence[str]) -> tuple[Namespace, list[str]]:
    flags = get_args_parser().parse_intermixed_args(arguments)
    for name in ("config_path", "config_name"):
        if getattr(flags, name) is not None:
            raise ConfigError(
                f"--{name.replace('_', '-')} would replace the files of vidrec; add a folder of "
                "your own with --config-dir DIR and choose from it with group=name"
            )
    overrides = list(flags.overrides)
    if any(map(asks_for_sweep, overrides)) or "runtime=slurm" in overrides:
        flags.multirun = True
    if flags.multirun and flags.cfg:
        raise ConfigError("--cfg prints the configuration of one run: leave out -m")
    return flags, [override for override in overrides if not asks_for_sweep(override)]


def _values(override: Override) -> list[str]:
    """The override with each of the values of a sweep; of an interval with the first."""
    written = str(override.input_line)
    key, value = written.partition("=")[0], override.value()
    if isinstance(value, IntervalSweep):
        return [f"{key}={value.start}"]
    if isinstance(value, Glob):
        return []  # of names that files of the tree have
    if not override.is_discrete_sweep():
        return [written]
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


def _of_sweep(overrides: list[str]) -> list[str]:
    """The overrides of a multirun, with a directory that follows from the choices.

    Raises ConfigError under torchrun, which starts one job in several processes.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        ranks = os.environ["WORLD_SIZE"]
        shown = " ".join(override.removeprefix("++") for override in overrides)
        raise ConfigError(
            "torchrun starts one run in several processes, -m starts several runs; let a "
            f"launcher start the processes of each: python train.py -m {shown} "
            f"hydra/launcher=submitit_local hydra.launcher.tasks_per_node={ranks}, or on a cluster "
            f"... runtime=slurm hydra.launcher.gpus_per_node={ranks}"
        )
    if any(override.lstrip("+").startswith("hydra.sweep.dir=") for override in overrides):
        return overrides
    folder, former = (Path("runs", f("sweep", overrides)) for f in (short_name, former_short_name))
    if former.is_dir() and not folder.exists():
        raise ConfigError(
            f"{former} has this sweep under its former name: show it with vidrec sweep '{former}', "
            f"go on with one of its runs with hydra.run.dir='{former}/NAME', or start again with "
            f"hydra.sweep.dir={folder}"
        )
    return [*overrides, f"hydra.sweep.dir={quoted(str(folder))}"]
