"""Charts that a metric offers besides its scores; `vidrec.plots` draws them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np


@dataclass
class Bars:
    """One value per class, such as its average precision."""

    title: str
    values: Mapping[str, float]  # in [0, 1]; NaN if it is not defined


@dataclass
class Lines:
    """Curves over one axis, such as recall over the number of proposals."""

    title: str
    x_label: str
    x: np.ndarray  # (P,)
    lines: Mapping[str, np.ndarray]  # (P,) each, in [0, 1]


Chart = Bars | Lines


@runtime_checkable
class Charted(Protocol):
    """A metric with charts, which are drawn at the end of a run."""

    def charts(self, rows: dict[str, np.ndarray]) -> dict[str, Chart]:
        """Charts by name; rows: as for `compute`."""
