"""The interface of a task; `recognition`, `detection` and `localization` implement it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from vidrec.config.schema import EvaluateConf, TrainConf
from vidrec.metrics.charts import Chart

Own = Any  # of a class of the task's own


@dataclass(frozen=True)
class Evaluated:
    """The result of an evaluation."""

    metric: Own  # of the task
    rows: dict[str, np.ndarray]  # of all samples
    dataset: Own  # of the task
    class_names: list[str]
    protocol: str = ""  # how the scores were measured
    title: str = ""  # of its figures: which data, and which epoch or protocol


class Figure(NamedTuple):
    """A picture or, with the extension .mp4, a video."""

    name: str
    path: Path
    caption: str = ""  # what it shows, in a report; empty: it is not shown there
    chart: Chart | None = None  # the numbers that it shows


@dataclass(frozen=True)
class Table:
    """Rows of a report, each with as many cells as there are columns; numbers are aligned.

    note: a sentence below the title.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | int | float]]
    note: str = ""


class Task(Protocol):
    """The functions that each module of this package has."""

    scores_classes: bool  # whether the outputs of a network are the classes, in order
    pictures_need_labels: bool  # whether `pictures` compares predictions with labels

    def class_names(self, conf: TrainConf, dataset: Own) -> list[str]:
        """Names of the network's outputs; numbers if they have none."""

    def summary(self, dataset: Own) -> str:
        """A line on what is learned, logged before training."""

    def doubts(self, datasets: Mapping[str, Own]) -> Iterator[str]:
        """What can be used in the datasets, by split, but is hardly what was meant."""

    def unlabelled(self, dataset: Own) -> str | None:
        """Why nothing can be learned from a dataset or scored on it, if it has no labels at all."""

    def protocol(self, dataset: Own, net: Own, num_scored: int) -> str:
        """How a score was measured, in one line to print beside it.

        The objects that did the work are asked: sampling, transforms, records and network.
        """

    def figures(self, found: Evaluated, folder: Path) -> Iterator[Figure]:
        """Write the figures of a run into its directory, with the charts of its metric."""

    def tables(self, found: Evaluated) -> Iterator[Table]:
        """What a report lists besides the charts of the metric."""

    def pictures(self, found: Evaluated, folder: Path) -> None:
        """Write the pictures that `evaluate pictures=FOLDER` asks for, with those charts."""

    def dump(self, found: Evaluated, path: str) -> None:
        """Write the predictions."""

    def score_files(self, conf: EvaluateConf) -> tuple[dict[str, float], str]:
        """The scores of the files `conf.score`, and how they were measured; no network runs."""
