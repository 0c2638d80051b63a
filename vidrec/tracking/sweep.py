"""The runs of a sweep as a table: how they differ, and their results."""

import csv
import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from vidrec.files.atomic_write import atomic_write
from vidrec.files.metrics_rows import read_metrics
from vidrec.tracking import status


@dataclass
class Row:
    """One run. state: of `vidrec.tracking.status`, or `unknown` if that file is damaged."""

    folder: Path
    overrides: dict[str, str] = field(default_factory=dict)
    state: str = "unknown"
    best: float = math.nan
    key: str = ""  # the metric of `best`
    higher_is_better: bool = True
    epochs: int = 0  # done
    error: str = ""


def read_rows(folder: Path) -> list[Row]:
    """The runs directly under `folder`, those of one metric together, best first; then those
    without a score.

    Damaged lines of their logs are warned about. Raises FileNotFoundError if there are no runs.
    """
    found = sorted(path.parent for path in folder.glob(f"*/{status.FILE}"))
    if not found:
        raise FileNotFoundError(
            f"{folder} holds no runs; pass the directory that the sweep printed, such as "
            "runs/sweep+..."
        )
    rows = [_read_row(path) for path in found]
    return sorted(
        rows, key=lambda row: (math.isnan(row.best), row.key, _rank(row), str(row.folder))
    )


def metrics(rows: Sequence[Row]) -> list[str]:
    """The metrics that select the best of the runs; scores of different ones do not compare."""
    return list(dict.fromkeys(row.key for row in rows if row.key))


def varied(rows: Sequence[Row]) -> list[str]:
    """The overrides that differ between runs, in the order in which they were given."""
    keys = list(dict.fromkeys(key for row in rows for key in row.overrides))
    return [key for key in keys if len({row.overrides.get(key) for row in rows}) > 1]


def table(rows: Sequence[Row]) -> list[list[str]]:
    """The header, then one line of cells per run."""
    keys = varied(rows)
    columns = metrics(rows)
    lines = [[*keys, *columns, "epochs", "state", "run"]]
    for row in rows:
        best = "" if math.isnan(row.best) else f"{row.best:.4f}"
        scores = [best if row.key == column else "" for column in columns]
        state = f"{row.state}: {row.error}" if row.error else row.state
        choices = [row.overrides.get(key, "") for key in keys]
        lines.append([*choices, *scores, str(row.epochs), state, row.folder.name])
    return lines


def text(lines: Sequence[Sequence[str]]) -> str:
    """Cells in columns, for a terminal."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def write_csv(lines: Sequence[Sequence[str]], path: Path) -> None:
    with atomic_write(path, "w") as stream:
        csv.writer(stream, lineterminator="\n").writerows(lines)


def _read_row(folder: Path) -> Row:
    said = status.read(folder)
    if not said:
        _warn(f"{folder / status.FILE} is damaged: the table does not show the choices of this run")
    pairs = (override.lstrip("+").partition("=") for override in said.get("overrides", []))
    row = Row(folder, {key: value for key, _, value in pairs})
    row.state = said.get("state", row.state)
    row.error = said.get("error", "")
    row.key = said.get("key", "")
    row.higher_is_better = said.get("higher_is_better", True)
    log = read_metrics(folder / "metrics.jsonl")
    if log.damaged:
        _warn(f"{folder / 'metrics.jsonl'}: {len(log.damaged)} damaged lines are left out")
    scores = [values[f"val/{row.key}"] for _, values in log.rows if f"val/{row.key}" in values]
    row.epochs = max((math.floor(values.get("epoch", 0)) for _, values in log.rows), default=0)
    if scores:
        row.best = max(scores) if row.higher_is_better else min(scores)
    return row


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)


def _rank(row: Row) -> float:
    return 0.0 if math.isnan(row.best) else -row.best if row.higher_is_better else row.best


class Report(Callback):
    """Hydra's callback around a multirun: prints the table, and fails if a run failed."""

    def on_multirun_start(self, config: DictConfig, **_: object) -> None:
        given = config.hydra.overrides.hydra
        if not any(override.startswith("hydra.sweep.dir=") for override in given):
            # The command line, from which the directory follows, asked for no sweep.
            raise SystemExit(
                "error: a configuration file sets hydra.mode=MULTIRUN; start the sweep with -m "
                "instead, so that its directory follows from the choices"
            )

    def on_multirun_end(self, config: DictConfig, **_: object) -> None:
        folder = Path(config.hydra.sweep.dir)
        try:
            rows = read_rows(folder)
        except FileNotFoundError:  # `--cfg job` with -m
            return
        lines = table(rows)
        write_csv(lines, folder / "sweep.csv")
        again = shlex.join(["vidrec", "sweep", str(folder)])
        print(f"{text(lines)}\nthe table again: {again}", flush=True)
        if failed := [row for row in rows if row.state == "failed"]:
            raise SystemExit(
                f"error: {len(failed)} of {len(rows)} runs failed; the others are done"
            )
