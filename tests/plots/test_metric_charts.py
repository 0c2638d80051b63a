import numpy as np
import pytest

from tests.plots.pixels import box, kept_figures, pixels, texts
from vidrec.metrics.charts import Bars, Lines
from vidrec.plots import metric_charts
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
    assert long == pytest.approx(9 * short, rel=0.2)


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


@pytest.mark.parametrize("num_classes", [1, 80])
def test_every_class_has_a_bar_with_its_name_and_its_value_in_the_unit_of_the_axis(
    tmp_path, monkeypatch, num_classes
):
    figures = kept_figures(monkeypatch, metric_charts)
    values = {f"class {i}": (i * 37 % num_classes) / num_classes for i in range(num_classes)}
    draw_chart(Bars("AP", values | {"idle": float("nan")}), tmp_path / "bars.png")
    columns = figures[0].axes
    names = [label.get_text() for axes in columns for label in axes.get_yticklabels()]
    assert names == sorted(values, key=lambda name: -values[name])
    widths = [bar.get_width() for axes in columns for bar in axes.patches]
    assert widths == [values[name] for name in names]
    assert all(axes.get_xlim() == (0, 1) for axes in columns)
    written = [text.get_text() for axes in columns for text in axes.texts]
    assert written == [f"{width:.3f}" for width in widths]
    mean = sum(widths) / num_classes
    assert f"mean {mean:.4f}, classes: {num_classes}, 1 more without a sample" in texts(figures[0])
    image = pixels(tmp_path / "bars.png")
    assert max(image.shape) < 3500


def test_of_a_thousand_classes_the_ends_are_named_and_nothing_overlaps(tmp_path, monkeypatch):
    figures = kept_figures(monkeypatch, metric_charts)
    values = {f"a name that goes on and on and on {i}": i / 999 for i in range(1000)}
    draw_chart(Bars("AP", values), tmp_path / "bars.png")
    *ends, profile = figures[0].axes
    assert profile.get_lines()[0].get_ydata().tolist() == sorted(values.values(), reverse=True)
    assert [round(axes.patches[0].get_width(), 3) for axes in ends] == [1, round(39 / 999, 3)]
    labels = [label for axes in ends for label in axes.get_yticklabels()]
    numbers = [text for axes in ends for text in axes.texts]
    assert len(labels) == len(numbers) == 80
    for label, number in zip(labels[40:], numbers[:40], strict=True):  # neighbours
        assert box(number).x1 < box(label).x0
    assert box(labels[0]).x0 > profile.bbox.x1


def test_nothing_is_defined(tmp_path, monkeypatch):
    figures = kept_figures(monkeypatch, metric_charts)
    draw_chart(Bars("AP", {"a": float("nan")}), tmp_path / "bars.png")
    assert "classes: 0, 1 more without a sample" in texts(figures[0])
