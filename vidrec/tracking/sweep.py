"""The runs of a sweep as a table: how they differ, and their results."""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from vidrec.tracking import status


@dataclass
class Row:
    """One run. state: of `vidrec.tracking.status`, or `waiting` if it has not started."""

    folder: Path
    overrides: dict[str, str] = field(default_factory=dict)
    state: str = "waiting"
    best: float = math.nan
    key: str = ""  # the metric of `best`
    higher_is_better: bool = True
    epochs: int = 0  # done
    error: str = ""


def read_rows(folder: Path) -> list[Row]:
    """The runs directly under `folder`, best first, failed ones last.

    Raises FileNotFoundError if there are none.
    """
    found = sorted(path.parent.parent for path in folder.glob("*/.hydra/overrides.yaml"))
    if not found:
        raise FileNotFoundError(
            f"{folder} holds no runs; pass the directory that the sweep printed, such as "
            "runs/sweep,..."
        )
    rows = [_read_row(path) for path in found]
    return sorted(rows, key=lambda row: (math.isnan(row.best), _rank(row), str(row.folder)))


def varied(rows: Sequence[Row]) -> list[str]:
    """The overrides that differ between runs, in the order in which they were given."""
    keys = list(dict.fromkeys(key for row in rows for key in row.overrides))
    return [key for key in keys if len({row.overrides.get(key) for row in rows}) > 1]


def table(rows: Sequence[Row]) -> list[list[str]]:
    """The header, then one line of cells per run."""
    keys = varied(rows)
    metric = next((row.key for row in rows if row.key), "best")
    lines = [[*keys, metric, "epochs", "state", "run"]]
    for row in rows:
        best = "" if math.isnan(row.best) else f"{row.best:.4f}"
        state = f"{row.state}: {row.error}" if row.error else row.state
        choices = [row.overrides.get(key, "") for key in keys]
        lines.append([*choices, best, str(row.epochs), state, row.folder.name])
    return lines


def text(lines: Sequence[Sequence[str]]) -> str:
    """Cells in columns, for a terminal."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def write_csv(lines: Sequence[Sequence[str]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(lines)


def _read_row(folder: Path) -> Row:
    given = yaml.safe_load((folder / ".hydra" / "overrides.yaml").read_text()) or []
    pairs = (str(override).lstrip("+").partition("=") for override in given)
    row = Row(folder, {key: value for key, _, value in pairs})
    said = status.read(folder)
    row.state = said.get("state", row.state)
    row.error = said.get("error", "")
    row.key = said.get("key", "")
    row.higher_is_better = said.get("higher_is_better", True)
    scores = []
    for line in _lines(folder / "metrics.jsonl"):
        row.epochs = max(row.epochs, math.floor(line.get("epoch", 0)))
        value = line.get(f"val/{row.key}")
        scores += [value] if isinstance(value, int | float) else []
    if scores:
        row.best = max(scores) if row.higher_is_better else min(scores)
    return row


def _lines(path: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl, without a last line that is still being written."""
    if not path.is_file():
        return []
    whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [json.loads(line) for line in whole]


def _rank(row: Row) -> float:
    return 0.0 if math.isnan(row.best) else -row.best if row.higher_is_better else row.best


class Report(Callback):
    """Hydra's callback at the end of a multirun: prints the table, and fails if a run failed."""

    def on_multirun_end(self, config: DictConfig, **_: object) -> None:
        folder = Path(config.hydra.sweep.dir)
        try:
            rows = read_rows(folder)
        except FileNotFoundError:  # `--cfg job` with -m
            return
        lines = table(rows)
        write_csv(lines, folder / "sweep.csv")
        print(f"{text(lines)}\nthe table again: vidrec sweep '{folder}'", flush=True)
        if failed := [row for row in rows if row.state == "failed"]:
            raise SystemExit(
                f"error: {len(failed)} of {len(rows)} runs failed; the others are done"
            )
