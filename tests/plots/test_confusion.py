import numpy as np
import pytest

from tests.plots.pixels import has_colour, pixels
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
        "   30   75 %  cat → owl",
        "    5   50 %  owl → dog",
    ]
    assert confusion._confused_pairs(np.eye(3, dtype=int), names, 2) == ["no sample was confused"]
    weakest = confusion._weakest_classes(matrix, names, 2)
    assert weakest[2:] == ["   40   25 %  cat", "   10   50 %  owl"]


def test_no_picture_touches_the_state_of_pyplot(tmp_path):
    import matplotlib.pyplot as plt

    before = dict(plt.rcParams)
    draw_confusion(np.eye(3, dtype=int), None, tmp_path / "c.png")
    assert plt.get_fignums() == []
    assert dict(plt.rcParams) == before
