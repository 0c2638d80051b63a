"""The report of an evaluation."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from torch import nn

from vidrec.config.compose import current_overrides
from vidrec.config.conf_folders import used_folders
from vidrec.config.schema import EvaluateConf
from vidrec.engine.distributed import Distributed
from vidrec.report import card as cards
from vidrec.report.card import Card
from vidrec.report.files import check_report_folder, write_report
from vidrec.report.fingerprints import digest_of_checkpoint
from vidrec.report.results import add_data, add_facts, add_findings
from vidrec.report.run_files import name_of_model
from vidrec.report.unreadable import listed
from vidrec.tasks import task_of
from vidrec.tasks.task import Evaluated
from vidrec.weights.run_directory import checkpoint_of_run, overrides_of_run


@dataclass(frozen=True)
class Evaluation:
    """What came out of an evaluation. unreadable: path -> reason, of all ranks."""

    net: nn.Module
    scores: dict[str, float]
    found: Evaluated
    loaded: str  # what was loaded into the network
    unreadable: Mapping[str, str]
    seconds: float
    speed: Mapping[str, float]


def report_evaluation(
    done: Evaluation, conf: EvaluateConf, folder: Path, dist: Distributed
) -> Path:
    """Write report.json, report.html and the task's figures into a folder.

    Returns the path of the page. Raises FileExistsError if the folder has files of others.
    """
    check_report_folder(folder)
    card = card_of_evaluation(done, conf, dist)
    # First of all, so that an interrupted report can be written again.
    write_report(card, folder)
    task = task_of(conf)
    add_findings(card, task, done.found, task.figures(done.found, folder), folder)
    return write_report(card, folder)


def card_of_evaluation(done: Evaluation, conf: EvaluateConf, dist: Distributed) -> Card:
    """The card without tables and figures."""
    checkpoint = str(conf.checkpoint)
    name = Path(conf.run).resolve().name if conf.run is not None else Path(checkpoint).name
    card = Card("evaluation", f"{name}, {conf.split}", "finished")
    card.overrides = _overrides()
    card.folders = used_folders("evaluate", card.overrides) if card.overrides else []
    card.command = shlex.join(["python", "evaluate.py", *_as_typed(card.overrides, conf)])
    card.run, card.split = conf.run, conf.split
    card.model = name_of_model(card.overrides, asdict(conf.model))
    add_facts(card, conf, done.net, dist)
    add_data(card, conf, {conf.split: done.found.dataset})
    card.protocol, card.key = done.found.title, done.found.metric.key
    card.higher_is_better = done.found.metric.higher_is_better
    card.scores = cards.finite_scores(done.scores)
    card.checkpoint = checkpoint
    if Path(checkpoint).is_file():
        card.weights_sha256 = digest_of_checkpoint(Path(checkpoint))
    card.unreadable, card.num_unreadable = listed(done.unreadable)
    card.seconds, card.speed = done.seconds, dict(done.speed)
    return card


def _overrides() -> list[str]:
    """Those of this command; none if the evaluation was called from Python."""
    if not HydraConfig.initialized() or HydraConfig.get().job.config_name != "evaluate":
        return []
    return current_overrides()


def _as_typed(overrides: Sequence[str], conf: EvaluateConf) -> list[str]:
    """The overrides without those that `run=` stands for."""
    if conf.run is None:
        return list(overrides)
    run = Path(conf.run)
    try:
        stood_for = overrides_of_run(run, [])[0]
        is_its_own = conf.checkpoint == str(checkpoint_of_run(run))
    except (OSError, ValueError):
        return list(overrides)
    left_out = ("run=", "checkpoint=") if is_its_own else ("run=",)
    own = [o for o in overrides if o not in stood_for and not o.startswith(left_out)]
    return [f"run={run}", *own]
