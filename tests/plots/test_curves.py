import json

import numpy as np

from tests.plots.pixels import pixels
from vidrec.plots import curves
from vidrec.plots.curves import draw_curves


def test_curves_draw_what_was_logged_even_with_gaps(tmp_path):
    rows = [
        {"epoch": 1, "step": s, "train/loss": 3 / s, "lr": 0.1, "train/top1": 0.1}
        for s in range(1, 200)
    ]
    rows[5]["train/loss"] = None  # was not finite
    rows += [{"epoch": e, "step": 50 * e, "val/top1": 0.2 * e, "val/n": 7} for e in range(1, 4)]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    draw_curves(path, tmp_path / "new" / "curves.png")
    assert pixels(tmp_path / "new" / "curves.png").shape[1] > 1000


def test_curves_of_an_empty_log_are_empty_axes(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("")
    draw_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png")
    assert pixels(tmp_path / "curves.png").size


def test_smoothing_is_the_mean_around_each_value():
    values = np.random.default_rng(0).random(400)
    expected = [values[max(i - 5, 0) : i + 6].mean() for i in range(400)]
    assert np.allclose(curves._smooth(values), expected)
