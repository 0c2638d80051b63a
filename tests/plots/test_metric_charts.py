import numpy as np
import pytest

from tests.plots.pixels import pixels
from vidrec.metrics.charts import Bars, Lines
from vidrec.plots.metric_charts import draw_chart


def test_bars_are_as_long_as_the_values_and_leave_out_what_is_not_defined(tmp_path):
    widths = []
    for values in ({"a": 0.9, "b": 0.1}, {"a": 0.45, "b": 0.1, "c": float("nan")}):
        draw_chart(Bars("per class", values), tmp_path / "bars.png")
        blue = np.abs(pixels(tmp_path / "bars.png") - (0x2F, 0x6D, 0xB3)).max(axis=-1) < 8
        rows = blue.sum(axis=1)
        widths.append(sorted({round(n, -1) for n in rows.tolist() if n > 20}))
    (short, long), (also_short, half) = [(w[0], w[-1]) for w in widths]
    assert short == pytest.approx(also_short, abs=10)
    assert long == pytest.approx(2 * half, abs=20)
    assert long == pytest.approx(9 * short, rel=0.15)


def test_curves_of_a_metric_are_drawn_in_their_order(tmp_path):
    x = np.arange(100)
    lines = {"mean": x / 200, "tIoU 0.50": x / 100}
    draw_chart(Lines("AR@AN", "average number of proposals", x, lines), tmp_path / "lines.png")
    image = pixels(tmp_path / "lines.png")
    blue, orange = (
        np.flatnonzero((np.abs(image - colour).max(axis=-1) < 25)[: image.shape[0] // 2].any(0))
        for colour in ((0x2F, 0x6D, 0xB3), (0xE0, 0x82, 0x14))
    )
    assert len(blue) or len(orange)
    assert orange.size > blue.size  # only the upper curve gets far into the upper half
