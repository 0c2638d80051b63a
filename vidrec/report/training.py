"""The report of a training, written at its end into the run directory."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from vidrec.config.schema import TrainConf
from vidrec.engine.distributed import Distributed
from vidrec.report.files import write_report
from vidrec.report.results import add_data, add_facts, add_findings
from vidrec.report.run_files import card_of_run, rows_of_run
from vidrec.report.unreadable import listed, unreadable_in_log
from vidrec.tasks import task_of
from vidrec.tasks.task import Evaluated, Figure
from vidrec.tracking.record import RunRecord


@dataclass(frozen=True)
class Trained:
    """A training that has just ended, on rank 0.

    found: the best validation since this process started. figures: those in the run directory.
    unreadable: path -> reason, of all ranks. options: Hydra's own of the command.
    """

    conf: TrainConf
    record: RunRecord
    net: nn.Module
    datasets: Mapping[str, Any]  # by split
    found: Evaluated
    figures: Sequence[Figure]
    seconds: float
    unreadable: Mapping[str, str]
    options: Sequence[str] = ()


def report_training(trained: Trained, folder: Path, dist: Distributed) -> Path:
    """Write report.json and report.html into the run directory; returns the path of the page.

    Raises FileExistsError if there are files of these names that vidrec did not write.
    """
    conf, found = trained.conf, trained.found
    card = card_of_run(folder)
    card.state, card.written = "finished", ""
    card.folders = list(trained.record.folders)
    card.command = shlex.join(["python", "train.py", *trained.record.overrides, *trained.options])
    card.seconds = trained.seconds
    add_facts(card, conf, trained.net, dist)
    add_data(card, conf, trained.datasets)
    num_scored = int(card.scores.get("num_scored", len(found.dataset)))
    task = task_of(conf)
    how = task.protocol(found.dataset, trained.net, num_scored)
    card.protocol = f"{conf.data.name} val: {how}"
    listed_before = unreadable_in_log(folder / "train.log")[0]
    before = {own[0]: own[1] for own in listed_before}  # of earlier processes
    card.unreadable, card.num_unreadable = listed(before | dict(trained.unreadable))
    add_findings(card, task, found, trained.figures, folder)
    return write_report(card, folder, rows_of_run(folder))
