"""What a metric shows besides its numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np


@dataclass
class Bars:
    """One value a class, e.g. its average precision."""

    title: str
    values: Mapping[str, float]  # in [0, 1]; NaN where it is not defined


@dataclass
class Lines:
    """Curves over one axis, e.g. recall over the number of proposals."""

    title: str
    x_label: str
    x: np.ndarray  # (P,)
    lines: Mapping[str, np.ndarray]  # (P,) each, in [0, 1]


Chart = Bars | Lines


@runtime_checkable
class Charted(Protocol):
    """A metric that has charts; they are drawn at the end of a run."""

    def charts(self, rows: dict[str, np.ndarray]) -> dict[str, Chart]:
        """Charts by the name of their picture; rows: as for `compute`."""
