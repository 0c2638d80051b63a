"""What a run is: written beside its checkpoints, and into them, once its command is accepted."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vidrec.files.atomic_write import atomic_write

Changes = Mapping[str, Sequence[object]]  # key -> [value of the recipe, value of this run]


@dataclass(frozen=True)
class RunRecord:
    """The command of a run and what it came to.

    overrides: its arguments. config: the resolved configuration in YAML. changes: where that
    differs from the recipe; see `vidrec.config.recipe_diff`. notes: what was made of the
    command, for the log; see `vidrec.config.completion`. folders: of the user, which the chosen
    files are in.
    """

    overrides: Sequence[str] = ()
    config: str = ""
    changes: Changes = field(default_factory=dict)
    notes: Sequence[str] = ()
    folders: Sequence[str] = ()

    def is_of(self, folder: Path) -> bool:
        """Whether the run in `folder` was started by the same command."""
        return _read(folder / "config.yaml") == self.config

    def write(self, folder: Path) -> None:
        """Write config.yaml and changes.yaml."""
        lines = [
            f"{json.dumps(key)}: {json.dumps(list(values), default=str)}\n"
            for key, values in self.changes.items()
        ]
        with atomic_write(folder / "changes.yaml", "w") as stream:
            stream.writelines(["# key: [value of the recipe, value of this run]\n", *lines])
        with atomic_write(folder / "config.yaml", "w") as stream:
            stream.write(self.config)


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
