"""How a run ended, in one small file of its directory that a table of a sweep can read."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from vidrec.files.atomic_write import atomic_write

State = Literal["running", "finished", "stopped", "failed"]
FILE = "status.json"


def write(folder: Path, state: State, **facts: Any) -> None:
    """Say that the run of `folder` is in `state`, beside what was said before.

    A disk that is full keeps the old word.
    """
    said = {name: fact for name, fact in read(folder).items() if name != "error"}
    text = json.dumps({**said, "state": state, **facts})
    with suppress(OSError), atomic_write(folder / FILE, "w") as stream:
        stream.write(text + "\n")


def read(folder: Path) -> dict[str, Any]:
    """What `write` said last; empty where there is nothing readable."""
    try:
        return json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
