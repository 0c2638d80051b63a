import json

import numpy as np
import pytest
from matplotlib.image import imread

from vidrec.metrics.charts import Bars, Lines
from vidrec.plots import figures
from vidrec.plots.figures import Sample, chart, confusion, curves, predictions, sample


def pixels(path):
    image = imread(path)
    assert image.std() > 0.01  # something is drawn
    return (image[..., :3] * 255).round().astype(int)


def has_colour(image, red, green, blue, tolerance=40):
    return (np.abs(image - (red, green, blue)).max(axis=-1) < tolerance).any()


def test_curves_draw_what_was_logged_even_with_gaps(tmp_path):
    rows = [
        {"epoch": 1, "step": s, "train/loss": 3 / s, "lr": 0.1, "train/top1": 0.1}
        for s in range(1, 200)
    ]
    rows[5]["train/loss"] = None  # was not finite
    rows += [{"epoch": e, "step": 50 * e, "val/top1": 0.2 * e, "val/n": 7} for e in range(1, 4)]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    curves(path, tmp_path / "new" / "curves.png")
    assert pixels(tmp_path / "new" / "curves.png").shape[1] > 1000


def test_curves_of_an_empty_log_are_empty_axes(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("")
    curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png")
    assert pixels(tmp_path / "curves.png").size


def test_smoothing_is_the_mean_around_each_value():
    values = np.random.default_rng(0).random(400)
    expected = [values[max(i - 5, 0) : i + 6].mean() for i in range(400)]
    assert np.allclose(figures._smooth(values), expected)


@pytest.mark.parametrize("num_classes", [2, 8, 30, 400])
def test_confusion_stays_readable_from_few_to_many_classes(tmp_path, num_classes):
    rng = np.random.default_rng(0)
    matrix = np.diag(rng.integers(20, 40, num_classes))
    matrix[0, 1] = 9
    names = [f"a class with $quite$ a long name_{i}" for i in range(num_classes)]
    confusion(matrix, names if num_classes != 30 else None, tmp_path / "c.png")
    image = pixels(tmp_path / "c.png")
    assert 400 < image.shape[0] < 1500
    assert 400 < image.shape[1] < 2200
    assert has_colour(image, 8, 48, 107)  # the diagonal, the darkest of the colour map


def test_the_most_confused_pairs_and_the_weakest_classes_are_listed():
    matrix = np.array([[10, 0, 30], [2, 8, 0], [0, 5, 5]])
    names = ["cat", "dog", "owl"]
    assert figures._confused_pairs(matrix, names, 2)[1:] == [
        "   30   75 %  cat → owl",
        "    5   50 %  owl → dog",
    ]
    assert figures._confused_pairs(np.eye(3, dtype=int), names, 2) == ["no sample was confused"]
    weakest = figures._weakest_classes(matrix, names, 2)
    assert weakest[2:] == ["   40   25 %  cat", "   10   50 %  owl"]


def test_predictions_show_right_in_green_and_wrong_in_red(tmp_path):
    frames = np.full((8, 30, 40, 3), 128, dtype=np.uint8)
    right = Sample(frames, "cat", "cat", 0.9, True)
    wrong = Sample(frames, "cat", "an owl that is called by a very long name", 0.4, False)
    predictions([right] * 5, tmp_path / "right.png")
    predictions([wrong], tmp_path / "wrong.png")
    green, red = (44, 140, 75), (192, 57, 43)
    for name, shown, hidden in (("right", green, red), ("wrong", red, green)):
        image = pixels(tmp_path / f"{name}.png")
        assert has_colour(image, *shown)
        assert not has_colour(image, *hidden)


def test_a_strip_shows_first_middle_and_last_frame():
    frames = (
        np.zeros((9, 4, 40, 3), dtype=np.uint8) + np.arange(9, dtype=np.uint8)[:, None, None, None]
    )
    strip = figures._strip(frames)
    assert strip.shape == (4, 3 * 40 + 2 * 2, 3)
    assert strip[0, [0, 42, 84], 0].tolist() == [0, 4, 8]
    assert figures._strip(frames[:1, ..., :2]).shape == (4, 40)


def test_no_picture_touches_the_state_of_pyplot(tmp_path):
    import matplotlib.pyplot as plt

    before = dict(plt.rcParams)
    confusion(np.eye(3, dtype=int), None, tmp_path / "c.png")
    assert plt.get_fignums() == []
    assert dict(plt.rcParams) == before


def test_a_sample_names_its_true_and_its_best_class():
    frames, names = np.zeros((1, 2, 2, 3), dtype=np.uint8), ["cat", "dog", "owl"]
    scores = np.array([0.1, 0.2, 0.7])
    one = sample(frames, scores, np.int64(1), names)
    assert (one.truth, one.predicted, one.probability, one.correct) == ("dog", "owl", 0.7, False)
    several = sample(frames, scores, np.array([1.0, 0.0, 1.0]), names)
    assert (several.truth, several.correct) == ("cat, owl", True)
    assert sample(frames, scores, np.zeros(3), names).truth == "none"


def test_bars_are_as_long_as_the_values_and_leave_out_what_is_not_defined(tmp_path):
    widths = []
    for values in ({"a": 0.9, "b": 0.1}, {"a": 0.45, "b": 0.1, "c": float("nan")}):
        chart(Bars("per class", values), tmp_path / "bars.png")
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
    chart(Lines("AR@AN", "average number of proposals", x, lines), tmp_path / "lines.png")
    image = pixels(tmp_path / "lines.png")
    blue, orange = (
        np.flatnonzero((np.abs(image - colour).max(axis=-1) < 25)[: image.shape[0] // 2].any(0))
        for colour in ((0x2F, 0x6D, 0xB3), (0xE0, 0x82, 0x14))
    )
    assert len(blue) or len(orange)
    assert orange.size > blue.size  # only the upper curve gets far into the upper half
