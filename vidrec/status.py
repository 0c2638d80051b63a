"""How a run ended, in one small file of its directory that a table of a sweep can read."""

import json
import os
from pathlib import Path
from typing import Any, Literal

State = Literal["running", "finished", "stopped", "failed"]
FILE = "status.json"


def write(folder: Path, state: State, **facts: Any) -> None:
    """Say that the run of `folder` is in `state`, beside what was said before.

    A disk that is full keeps the old word.
    """
    part = folder / f".{FILE}.part"
    said = {name: fact for name, fact in read(folder).items() if name != "error"}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**said, "state": state, **facts})
        part.write_text(text + "\n", encoding="utf-8")
        os.replace(part, folder / FILE)
    except OSError:
        part.unlink(missing_ok=True)


def read(folder: Path) -> dict[str, Any]:
    """What `write` said last; empty where there is nothing readable."""
    try:
        return json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
