"""The card of a result: all that report.json holds, and all that a report says in words.

`read` and `write` are each other's inverse. Numbers that are not finite are null in the file.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from vidrec.files.atomic_write import atomic_write
from vidrec.files.text_files import read_json_file

FORMAT = 1
FILE = "report.json"
KINDS = ("training", "evaluation")


@dataclass
class Card:
    """One training or evaluation.

    Scores that are not finite are left out. What is not known, as of a run that was killed, is
    empty or None.
    """

    kind: str  # training or evaluation
    name: str  # of the run or the checkpoint
    state: str  # of `vidrec.tracking.status`
    written: str = ""  # local time
    command: str = ""
    overrides: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)  # of the user's own configurations
    run: str | None = None  # the run directory
    error: str = ""  # why it failed
    task: str = ""
    model: str = ""  # the recipe, or the model
    data: str = ""
    split: str = ""
    changes: dict[str, list[Any]] = field(default_factory=dict)  # key -> [recipe, here]
    protocol: str = ""  # how the scores were measured
    key: str = ""  # the score that selects the best epoch
    higher_is_better: bool = True
    scores: dict[str, float] = field(default_factory=dict)
    epoch: float | None = None  # of the scores and of the weights
    epochs: int | None = None  # of the whole run
    epochs_done: float | None = None
    parameters: int | None = None  # of the network
    trainable: int | None = None
    checkpoint: str = ""
    weights_sha256: str = ""  # of the tensors, see `vidrec.weights.digest`
    lists: dict[str, dict[str, str]] = field(default_factory=dict)  # key -> file, sha256
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)  # split -> samples, sha256
    unreadable: list[list[str]] = field(default_factory=list)  # [path, reason], the first ones
    num_unreadable: int = 0
    seconds: float | None = None  # of this process, from building to figures
    speed: dict[str, float] = field(default_factory=dict)  # see `vidrec.report.speed`
    environment: dict[str, str] = field(default_factory=dict)
    shown: str = ""  # of what epoch or protocol the figures and tables are
    figures: list[dict[str, str]] = field(default_factory=list)  # name and file, in the folder
    tables: list[dict[str, Any]] = field(default_factory=list)  # of `vidrec.tasks.task.Table`


def write(card: Card, folder: Path) -> Path:
    """Write report.json into a folder."""
    path = folder / FILE
    with atomic_write(path, "w") as stream:
        json.dump({"format": FORMAT, **_finite(asdict(card))}, stream, indent=1)
        stream.write("\n")
    return path


def read(path: Path) -> Card:
    """The card in a report.json, or in that of a folder.

    Raises FileNotFoundError if there is none, ValueError if the file is no card of vidrec.
    """
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}: pass the {FILE} of a training or evaluation")
    content = read_json_file(str(path))
    if not isinstance(content, dict) or content.get("kind") not in KINDS:
        raise ValueError(f"{path} is not a {FILE} that vidrec wrote")
    if content.get("format") != FORMAT:
        raise ValueError(f"{path} has format {content.get('format')}, expected {FORMAT}")
    known = {f.name: f for f in fields(Card)}
    empty = Card("", "", "")
    values: dict[str, Any] = {}
    for name, value in content.items():
        if name not in known or value is None:
            continue
        default = getattr(empty, name)
        expected = (int, float) if default is None and name != "run" else type(default)
        if name != "run" and not isinstance(value, expected):
            raise ValueError(f"{path} was changed: {name} is {str(value)[:60]!r}")
        values[name] = value
    if not {"kind", "name", "state"} <= values.keys():
        raise ValueError(f"{path} was changed: it lacks kind, name or state")
    card = Card(**values)
    card.scores = {k: v for k, v in card.scores.items() if isinstance(v, int | float)}
    return card


def finite_scores(scores: Mapping[str, float]) -> dict[str, float]:
    """Those that are defined, as plain numbers."""
    return {name: float(value) for name, value in scores.items() if math.isfinite(value)}


def _finite(value: Any) -> Any:
    """The same value, which JSON can hold, with null for numbers that are not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return value.item() if hasattr(value, "item") else str(value)
