"""Command-line overrides: what is done to them before Hydra sees them."""

import os
import sys
from pathlib import Path

from vidrec.config.arguments import asks_for_sweep, is_key, is_short_rate
from vidrec.config.compose import conf_dir
from vidrec.config.replacing import spelled_out
from vidrec.config.run_name import short_name
from vidrec.config.slips import first_slip


def lenient(arguments: list[str]) -> list[str]:
    """`key=value` of plain keys as `++key=value`: unknown keys reach the start-up validation.

    Hydra would reject them without naming the nearest valid key. Group choices, deletions, flags
    and Hydra's own keys stay as they are. `schedule.lr=0.01`, a number where the phases of the
    learning rate are, means the optimizer's.
    """
    arguments = spelled_out(arguments)
    arguments = [
        argument.replace("lr", "optimizer.lr", 1) if is_short_rate(argument) else argument
        for argument in arguments
    ]
    return [
        f"++{argument}" if argument[:1].isalpha() and is_key(argument) else argument
        for argument in arguments
    ]


# Flags of vidrec's own, and the values that they stand for.
_SHORT_FOR = {"--no-check": "runtime.check_files=false"}


def set_argv(arguments: list[str]) -> None:
    """Make `arguments` the command line that Hydra reads; ends the program at a wrong choice."""
    arguments = [_SHORT_FOR.get(argument, argument) for argument in arguments]
    if problem := first_slip(arguments, [Path(conf_dir())]):
        raise SystemExit(f"configuration error: {problem}")
    if "runtime=slurm" in arguments or any(map(asks_for_sweep, arguments)):
        arguments = of_sweep(arguments)
    sys.argv[1:] = lenient(arguments)


def of_sweep(arguments: list[str]) -> list[str]:
    """The arguments of a multirun, with a directory that follows from the choices.

    Ends the program under torchrun, which starts one job in several processes.
    """
    plain = [argument for argument in arguments if not asks_for_sweep(argument)]
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        ranks = os.environ["WORLD_SIZE"]
        raise SystemExit(
            "error: torchrun starts one run in several processes, -m starts several runs; let a "
            f"launcher start the processes of each: python train.py -m {' '.join(plain)} "
            f"hydra/launcher=submitit_local hydra.launcher.tasks_per_node={ranks}, or on a cluster "
            f"... runtime=slurm hydra.launcher.gpus_per_node={ranks}"
        )
    if not any(argument.startswith("hydra.sweep.dir=") for argument in plain):
        plain.append(f"hydra.sweep.dir='runs/{short_name('sweep', plain)}'")
    return ["--multirun", *plain]


def repeated(stored: list[str], arguments: list[str]) -> list[str]:
    """The overrides of an earlier command, then `arguments`, which win.

    What says where and how to run stays behind: it was for that command.
    """
    replaced = {_key(argument) for argument in arguments}

    def stays(override: str) -> bool:
        key = _key(override)
        return key not in replaced and key.split(".")[0] != "runtime" and key != "data.cache"

    return [override for override in stored if stays(override)] + arguments


def _key(argument: str) -> str:
    return argument.lstrip("+~").partition("=")[0]
