import numpy as np
import pytest

from tests.plots.pixels import has_colour, kept_figures, pixels, texts
from vidrec.plots import confusion
from vidrec.plots.confusion import draw_confusion


@pytest.mark.parametrize("num_classes", [2, 8, 30, 400])
def test_confusion_stays_readable_from_few_to_many_classes(tmp_path, num_classes):
    rng = np.random.default_rng(0)
    matrix = np.diag(rng.integers(20, 40, num_classes))
    matrix[0, 1] = 9
    names = [f"a class with $quite$ a long name_{i}" for i in range(num_classes)]
    draw_confusion(matrix, names if num_classes != 30 else None, tmp_path / "c.png")
    image = pixels(tmp_path / "c.png")
    assert 400 < image.shape[0] < 1500
    assert 400 < image.shape[1] < 2200
    assert has_colour(image, 8, 48, 107)  # the diagonal, the darkest of the colour map


def test_the_most_confused_pairs_and_the_weakest_classes_are_listed():
    matrix = np.array([[10, 0, 30], [2, 8, 0], [0, 5, 5]])
    names = ["cat", "dog", "owl"]
    assert confusion._confused_pairs(matrix, names, 2)[1:] == [
        "   30   0.75  cat → owl",
        "    5   0.50  owl → dog",
    ]
    assert confusion._confused_pairs(np.eye(3, dtype=int), names, 2) == ["no sample was confused"]
    weakest = confusion._weakest_classes(matrix, names, 2)
    assert weakest[2:] == ["   40   0.25  cat", "   10   0.50  owl"]


def test_classes_have_names_where_these_fit_and_numbers_where_they_do_not(tmp_path, monkeypatch):
    figures = kept_figures(monkeypatch, confusion)
    for num_classes in (3, 41):
        matrix = 2 * np.eye(num_classes, dtype=int)
        matrix[2, 1] = 2
        names = [f"name {i}" for i in range(num_classes)]
        draw_confusion(matrix, names, tmp_path / "c.png", "data val, epoch 3 of 8")
    few, many = ([label.get_text() for label in f.axes[0].get_yticklabels()] for f in figures)
    assert few == ["name 0", "name 1", "name 2"]
    assert not any("name" in label for label in many)
    assert sum(text in (".50", "1") for text in texts(figures[0])) == 4  # shares of a row
    assert any("0.50  name 2 → name 1" in text for text in texts(figures[0]))
    assert any("0.50  [2] name 2 → [1] name 1" in text for text in texts(figures[1]))
    assert "data val, epoch 3 of 8\n3 classes, 8 samples, accuracy 0.7500" in texts(figures[0])


def test_names_that_are_the_same_once_shortened_get_numbers(tmp_path, monkeypatch):
    figures = kept_figures(monkeypatch, confusion)
    names = [f"putting something that is very long on a table {i}" for i in range(2)]
    draw_confusion(np.eye(2, dtype=int), names, tmp_path / "c.png")
    labels = [label.get_text() for label in figures[0].axes[0].get_xticklabels()]
    assert [label[:11] for label in labels] == ["[0] putting", "[1] putting"]


def test_no_picture_touches_the_state_of_pyplot(tmp_path):
    import matplotlib.pyplot as plt

    before = dict(plt.rcParams)
    draw_confusion(np.eye(3, dtype=int), None, tmp_path / "c.png")
    assert plt.get_fignums() == []
    assert dict(plt.rcParams) == before
