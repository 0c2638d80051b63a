"""The charts that metrics offer, the same for every task."""

import math
from collections.abc import Iterator
from pathlib import Path

from vidrec.metrics.charts import Bars, Charted
from vidrec.plots.metric_charts import draw_chart
from vidrec.tasks.task import Evaluated, Figure


def charts(found: Evaluated, folder: Path) -> Iterator[Figure]:
    """Write those of the metric, if it has any; none of classes that all lack a value."""
    if isinstance(found.metric, Charted):
        for name, chart in found.metric.charts(found.rows).items():
            if isinstance(chart, Bars) and all(map(math.isnan, chart.values.values())):
                continue
            path = folder / f"{name}.png"
            draw_chart(chart, path, found.title)
            yield Figure(name, path, chart.title, chart)
