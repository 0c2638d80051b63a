"""Command-line overrides: what is done to them before Hydra sees them."""

from collections.abc import Sequence

from vidrec.config.arguments import is_key, is_short_rate
from vidrec.config.replacing import spelled_out


def lenient(arguments: Sequence[str]) -> list[str]:
    """`key=value` of plain keys as `++key=value`: unknown keys reach the start-up validation.

    Hydra would reject them without naming the nearest valid key. Group choices, deletions and
    Hydra's own keys stay as they are. `schedule.lr=0.01`, a number where the phases of the learning
    rate are, means the optimizer's.
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


def repeated(stored: list[str], arguments: list[str]) -> list[str]:
    """The overrides of an earlier command, then `arguments`, which win.

    What says where and how to run stays behind: it was for that command.
    """
    # Without a value it is one of a flag: `--package model.loss` changes nothing.
    replaced = {_key(a) for a in arguments if "=" in a or a.startswith("~")}

    def stays(override: str) -> bool:
        key = _key(override)
        return key not in replaced and key.split(".")[0] != "runtime" and key != "data.cache"

    return [override for override in stored if stays(override)] + arguments


def _key(argument: str) -> str:
    return argument.lstrip("+~").partition("=")[0]
