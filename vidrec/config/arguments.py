"""What an argument of the command line is: a value of a key, a choice, a flag of Hydra."""

import functools
import re
from pathlib import Path

from vidrec.config.compose import conf_dir


def is_key(argument: str) -> bool:
    """Whether an override gives a value to a key, rather than choosing a file of a group."""
    key, equals, _ = argument.lstrip("+").partition("=")
    return (
        bool(equals)
        and key[:1].isalpha()
        and "/" not in key
        and key.split("@")[0] not in _groups()
        and key.split(".")[0] != "hydra"
    )


@functools.cache
def _groups() -> set[str]:
    return {path.name for path in Path(conf_dir()).iterdir() if path.is_dir()}


def asks_for_sweep(argument: str) -> bool:
    """Whether Hydra starts several runs because of an argument: -m, --multirun or hydra.mode."""
    key, _, value = argument.lstrip("+").partition("=")
    if key == "hydra.mode":
        return value.strip("'\"") in ("MULTIRUN", "RunMode.MULTIRUN", "2")
    # Hydra takes --multi and the like too.
    return argument == "-m" or (len(argument) > 2 and "--multirun".startswith(argument))


def is_short_rate(argument: str) -> bool:
    """Whether it is `schedule.lr=0.01`: a number where the phases of the learning rate are."""
    return bool(re.match(r"schedule\.lr=(?=[\d.+-]|nan|inf)", argument))
