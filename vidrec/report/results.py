"""The parts of a card that every result has: who computed it, from what, and what it found."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from vidrec.config.schema import TrainConf
from vidrec.engine.distributed import Distributed
from vidrec.metrics.charts import Bars
from vidrec.report.card import Card
from vidrec.report.environment import environment
from vidrec.report.fingerprints import digest_of_records, lists_of
from vidrec.tasks.task import Evaluated, Figure, Table, Task


def add_facts(card: Card, conf: TrainConf, net: nn.Module, dist: Distributed) -> None:
    """The network and the machine."""
    parameters = list(net.parameters())
    card.task = conf.model.task.value
    card.data = conf.data.name
    card.parameters = sum(p.numel() for p in parameters)
    card.trainable = sum(p.numel() for p in parameters if p.requires_grad)
    card.environment = environment(dist.device, dist.world)


def add_data(card: Card, conf: TrainConf, datasets: Mapping[str, Any]) -> None:
    """Hashes of the lists and of the samples in them. datasets: by split."""
    card.lists = lists_of(asdict(conf.data), list(datasets))
    card.datasets = {
        split: {
            "samples": len(dataset),
            "sha256": digest_of_records(getattr(dataset, "records", None)),
        }
        for split, dataset in datasets.items()
    }


def add_findings(
    card: Card, task: Task, found: Evaluated, figures: Iterable[Figure], folder: Path
) -> None:
    """Tables and pictures. figures: those that were written into `folder`."""
    card.shown = found.title
    card.tables = [dataclasses.asdict(own) for own in task.tables(found)]
    card.figures = []
    for figure in figures:
        if isinstance(figure.chart, Bars):
            card.tables.append(asdict(table_of_bars(figure.chart)))
        elif figure.caption:
            file = figure.path.relative_to(folder)
            card.figures.append({"caption": figure.caption, "file": str(file)})


def table_of_bars(chart: Bars) -> Table:
    """The values of a chart as a table, the lowest first; without those that are not defined."""
    defined = [(name, float(value)) for name, value in chart.values.items() if value == value]
    rows: Sequence[Sequence[str | float]] = sorted(defined, key=lambda row: row[1])
    idle = len(chart.values) - len(defined)
    note = "The weakest first." + f" {idle:,} more have no sample." * bool(idle)
    return Table(f"{chart.title[:1].upper()}{chart.title[1:]}", ("class", "value"), rows, note)
