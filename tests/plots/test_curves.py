import json
from types import SimpleNamespace

import numpy as np
import pytest

from tests.plots.pixels import box, kept_figures, pixels, texts
from vidrec.plots import curves
from vidrec.plots.curves import draw_curves, draw_sweep_curves

STEPS = 50  # of an epoch
TOP1 = SimpleNamespace(key="top1", higher_is_better=True)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def log(tmp_path):
    """Three epochs; validation is best after the second."""
    rows = [
        {
            "epoch": (step - 1) // STEPS + 1,
            "step": step,
            "train/loss": 3 / step,
            "train/loss_cls": 2 / step,
            "train/top1": step / 200,
            "lr": 0.1 / step,
        }
        for step in range(5, 3 * STEPS + 1, 5)
    ]
    rows[5]["train/loss"] = None  # was not finite
    for epoch, top1 in zip((1, 2, 3), (0.2, 0.6, 0.5), strict=True):
        scores = {"val/top1": top1, "val/loss": 1 / epoch, "val/error": 20.0, "val/num_scored": 7}
        rows.append({"epoch": epoch, "step": STEPS * epoch, **scores})
    return write(tmp_path / "metrics.jsonl", rows)


def plots(figure):
    """title -> label -> line"""
    return {
        axes.get_title(loc="left"): {line.get_label(): line for line in axes.get_lines()}
        for axes in figure.axes
    }


def test_everything_that_was_logged_is_drawn_over_epochs(log, tmp_path, monkeypatch):
    figures = kept_figures(monkeypatch, curves)
    draw_curves(log, tmp_path / "new" / "curves.png", TOP1)
    assert pixels(tmp_path / "new" / "curves.png").shape[1] > 1000
    found = plots(figures[0])
    best = "best epoch"
    assert {title: set(lines) - {best} for title, lines in found.items()} == {
        "loss": {"train/loss", "train/loss_cls", "val/loss"},
        "learning rate": {"lr"},
        "score": {"train/top1", "val/top1"},
        "other scores": {"val/error"},
    }
    assert {axes.get_xlabel() for axes in figures[0].axes} == {"epoch"}
    assert found["loss"]["val/loss"].get_xdata().tolist() == [1, 2, 3]
    assert found["learning rate"]["lr"].get_xdata()[[0, -1]].tolist() == [0.1, 3]
    assert len(found["loss"]["train/loss"].get_xdata()) == 29
    assert found["score"][best].get_xdata() == [2, 2]
    # One score has one colour, whichever split it is of.
    colours = {name: line.get_color() for name, line in found["loss"].items()}
    assert colours["train/loss"] == colours["val/loss"] != colours["train/loss_cls"]


def test_no_legend_covers_a_plot(log, tmp_path, monkeypatch):
    figures = kept_figures(monkeypatch, curves)
    draw_curves(log, tmp_path / "curves.png", TOP1)
    draw_sweep_curves({f"lr={i}": log for i in range(4)}, ["top1"], tmp_path / "sweep.png")
    assert sum(axes.get_legend() is not None for figure in figures for axes in figure.axes) == 4
    for figure in figures:
        for axes in figure.axes:
            if axes.get_legend():
                legend = box(axes.get_legend())
                assert not any(legend.overlaps(other.bbox) for other in figure.axes)


def test_a_loss_that_falls_is_best_where_it_is_lowest(log, tmp_path, monkeypatch):
    figures = kept_figures(monkeypatch, curves)
    draw_curves(log, tmp_path / "c.png", SimpleNamespace(key="loss", higher_is_better=False))
    assert plots(figures[0])["loss"]["best epoch"].get_xdata() == [3, 3]


def test_until_an_epoch_is_over_steps_are_counted(tmp_path, monkeypatch):
    figures = kept_figures(monkeypatch, curves)
    rows = [{"epoch": 1, "step": step, "train/loss": 1.0} for step in (10, 20)]
    draw_curves(write(tmp_path / "metrics.jsonl", rows), tmp_path / "c.png", TOP1)
    assert {axes.get_xlabel() for axes in figures[0].axes} == {"step"}
    assert plots(figures[0])["loss"]["train/loss"].get_xdata().tolist() == [10, 20]
    assert "best epoch" not in texts(figures[0])


def test_curves_of_an_empty_log_are_empty_axes(tmp_path):
    draw_curves(write(tmp_path / "metrics.jsonl", []), tmp_path / "curves.png", TOP1)
    assert pixels(tmp_path / "curves.png").size


def test_smoothing_is_the_mean_around_each_value():
    values = np.random.default_rng(0).random(400)
    expected = [values[max(i - 5, 0) : i + 6].mean() for i in range(400)]
    assert np.allclose(curves._smooth(values), expected)
