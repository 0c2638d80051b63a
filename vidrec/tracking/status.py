"""The status of a run, in one small file of its directory that the table of a sweep reads."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypedDict, cast

from vidrec.files.atomic_write import atomic_write

State = Literal["running", "finished", "stopped", "failed"]
FILE = "status.json"


class Facts(TypedDict, total=False):
    """What a status may say."""

    state: str
    error: str  # why it failed
    key: str  # the metric that selects the best
    higher_is_better: bool
    best: float
    overrides: list[str]  # the command


_KINDS = {"state": str, "error": str, "key": str, "higher_is_better": bool, "best": float | int}


def write(folder: Path, state: State, **facts: object) -> None:
    """Set the state of the run in `folder`, and add `facts` to those written before.

    On a full disk the previous status stays.
    """
    said = {name: fact for name, fact in read(folder).items() if name != "error"}
    text = json.dumps({**said, "state": state, **facts})
    with suppress(OSError), atomic_write(folder / FILE, "w") as stream:
        stream.write(text + "\n")


def read(folder: Path) -> Facts:
    """The last status that was written; empty without one, and what is damaged is left out."""
    try:
        said = json.loads((folder / FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    said = said if isinstance(said, dict) else {}
    known = {name: said[name] for name, kind in _KINDS.items() if isinstance(said.get(name), kind)}
    overrides = said.get("overrides")
    if isinstance(overrides, list) and all(isinstance(item, str) for item in overrides):
        known["overrides"] = overrides
    return cast(Facts, known)
