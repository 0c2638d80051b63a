"""Command-line overrides: what is done to them before Hydra sees them."""

import difflib
import sys
from pathlib import Path

import yaml

from vidrec.config import conf_dir


def lenient(arguments: list[str]) -> list[str]:
    """`key=value` of plain keys as `++key=value`: unknown keys reach the startup validation.

    Hydra would reject them without naming the nearest valid key. Group choices, deletions, flags
    and Hydra's own keys stay as they are.
    """
    groups = {path.name for path in Path(conf_dir()).iterdir() if path.is_dir()}
    return [f"++{argument}" if _plain_key(argument, groups) else argument for argument in arguments]


def _plain_key(argument: str, groups: set[str]) -> bool:
    key, equals, _ = argument.partition("=")
    return (
        bool(equals)
        and key[:1].isalpha()
        and "/" not in key
        and key.split("@")[0] not in groups
        and key.split(".")[0] != "hydra"
    )


def hand_to_hydra(arguments: list[str]) -> None:
    """Make `arguments` the command line that Hydra reads; ends the program at a wrong choice."""
    if problem := wrong_choice(arguments):
        raise SystemExit(f"configuration error: {problem}")
    sys.argv[1:] = lenient(arguments)


def wrong_choice(arguments: list[str]) -> str | None:
    """What is wrong with the first group choice that names no file, with the nearest that does."""
    for argument in arguments:
        key, equals, value = argument.partition("=")
        group = key.lstrip("+").split("@")[0]
        folder = Path(conf_dir(), group)
        if not equals or not group or not folder.is_dir():
            continue
        known = sorted(path.stem for path in folder.glob("*.yaml"))
        for choice in value.split(","):
            if (
                choice not in ("null", *known)
                and choice.replace("_", "").replace("-", "").isalnum()
            ):
                near = difflib.get_close_matches(choice, known, 1)
                hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known)}"
                return f"{group}={choice}: there is no conf/{group}/{choice}.yaml; {hint}"
    return None


def of_run(folder: Path, arguments: list[str]) -> list[str]:
    """The overrides that a run was started with, then `arguments`, which win.

    Recomposing from the choices keeps schemas and interpolations, which the stored result has lost.
    """
    saved = folder / ".hydra" / "overrides.yaml"
    if not saved.is_file():
        raise FileNotFoundError(f"{folder} is not a run directory: it has no .hydra/overrides.yaml")
    before = yaml.safe_load(saved.read_text()) or []
    replaced = {_key(argument) for argument in arguments}
    return [override for override in before if _key(override) not in replaced] + arguments


def _key(argument: str) -> str:
    return argument.lstrip("+~").partition("=")[0]
