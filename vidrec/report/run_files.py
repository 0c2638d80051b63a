"""What the files of a run say: the card of a run that has none, or that went on since."""

import fcntl
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from vidrec.files.metrics_rows import Row, read_metrics
from vidrec.report import card as cards
from vidrec.report.card import Card
from vidrec.report.fingerprints import digest_of_checkpoint
from vidrec.report.speed import measured
from vidrec.report.unreadable import unreadable_in_log
from vidrec.tracking import status
from vidrec.tracking.run import LOCK


def rows_of_run(folder: Path) -> list[Row]:
    """The rows of metrics.jsonl; none without the file."""
    return [row for _, row in read_metrics(folder / "metrics.jsonl").rows]


def card_of_run(folder: Path) -> Card:
    """The card of a training, from the files in its directory as they are now.

    What only the training itself knew, such as the number of samples, comes from its report.json,
    if it wrote one. Raises FileNotFoundError if the folder holds no run.
    """
    if not any((folder / name).is_file() for name in ("config.yaml", status.FILE)):
        raise FileNotFoundError(
            f"{folder} is not a run directory: it has neither config.yaml nor {status.FILE}"
        )
    card = Card("training", folder.resolve().name, "unknown")
    if (folder / cards.FILE).is_file():
        card = cards.read(folder / cards.FILE)
    said = status.read(folder)
    card.state = said.get("state", "unknown")
    card.error = said.get("error", "")
    card.key = said.get("key", card.key)
    card.higher_is_better = said.get("higher_is_better", card.higher_is_better)
    overrides = said.get("overrides", card.overrides)
    if overrides != card.overrides or not card.command:
        card.overrides = overrides
        card.command = shlex.join(["python", "train.py", *overrides])
    card.run = str(folder)
    card.changes = _mapping(folder / "changes.yaml")
    _add_config(card, _mapping(folder / "config.yaml"))
    _add_scores(card, folder, rows_of_run(folder))
    if not card.unreadable:
        card.unreadable, card.num_unreadable = unreadable_in_log(folder / "train.log")
    return card


def config_of_run(folder: Path) -> dict[str, Any]:
    """The resolved configuration of a run; empty of a folder without one."""
    return _mapping(folder / "config.yaml")


def is_in_use(folder: Path) -> bool:
    """Whether a process is training in the folder. Never call it in that process: it would lose
    its lock.
    """
    try:
        with (folder / LOCK).open("r+") as stream:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:  # locked, or it cannot be told
        return True
    return False


def best_row(rows: Sequence[Row], key: str, higher_is_better: bool) -> Row | None:
    """The first of the best validations; None if there is none."""
    validated = [row for row in rows if f"val/{key}" in row]
    sign = 1 if higher_is_better else -1
    return max(validated, key=lambda row: sign * row[f"val/{key}"]) if validated else None


def _add_config(card: Card, config: Mapping[str, Any]) -> None:
    model, data, schedule = (_node(config.get(name)) for name in ("model", "data", "schedule"))
    card.task = str(model.get("task", card.task))
    card.data = str(data.get("name", card.data))
    card.split = "val"
    card.model = name_of_model(card.overrides, model)
    if isinstance(epochs := schedule.get("epochs"), int):
        card.epochs = epochs


def name_of_model(overrides: Sequence[str], model: Mapping[str, Any]) -> str:
    """The experiment or the model that a command chose, else the class of the network."""
    chosen = dict(override.lstrip("+").partition("=")[::2] for override in overrides)
    target = str(_node(model.get("net")).get("_target_", ""))
    return chosen.get("experiment") or chosen.get("model") or target.rpartition(".")[2]


def _add_scores(card: Card, folder: Path, rows: Sequence[Row]) -> None:
    """Scores of the epoch whose weights are best.pt; without that file, of the last validation."""
    validated = [row for row in rows if any(name.startswith("val/") for name in row)]
    file = next((folder / n for n in ("best.pt", "last.pt") if (folder / n).is_file()), None)
    is_best = file is None or file.name == "best.pt"
    row = best_row(rows, card.key, card.higher_is_better) if is_best else None
    row = row or (validated[-1] if validated else None)
    card.scores, card.epoch = {}, None
    if row is not None:
        card.scores = {n.removeprefix("val/"): v for n, v in row.items() if n.startswith("val/")}
        card.epoch = row.get("epoch")
    card.epochs_done = max((float(int(row.get("epoch", 0))) for row in validated), default=0.0)
    card.speed = measured(rows)
    if file is not None:
        card.checkpoint = str(file)
        card.weights_sha256 = digest_of_checkpoint(file)


def _mapping(path: Path) -> dict[str, Any]:
    """The content of a YAML file; empty if there is none, or if it is damaged."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _node(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
