"""The status of a run, in one small file of its directory that the table of a sweep reads."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from vidrec.files.atomic_write import atomic_write

State = Literal["running", "finished", "stopped", "failed"]
FILE = "status.json"


def write(folder: Path, state: State, **facts: object) -> None:
    """Set the state of the run in `folder`, and add `facts` to those written before.

    On a full disk the previous status stays.
    """
    said = {name: fact for name, fact in read(folder).items() if name != "error"}
    text = json.dumps({**said, "state": state, **facts})
    with suppress(OSError), atomic_write(folder / FILE, "w") as stream:
        stream.write(text + "\n")


def read(folder: Path) -> dict[str, Any]:
    """The last status that was written; empty if there is none that is readable."""
    try:
        return json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
