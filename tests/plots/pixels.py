"""Looking at the pictures that were written, and at the figures that they are of."""

import numpy as np
from matplotlib.image import imread
from matplotlib.text import Text


def pixels(path):
    image = imread(path)
    assert image.std() > 0.01  # something is drawn
    return (image[..., :3] * 255).round().astype(int)


def has_colour(image, red, green, blue, tolerance=40):
    return (np.abs(image - (red, green, blue)).max(axis=-1) < tolerance).any()


def kept_figures(monkeypatch, module):
    """The figures that `module` saves from now on, in a list that fills up."""
    figures = []
    save = module.save_figure

    def keep(figure, path):
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(module, "save_figure", keep)
    return figures


def texts(figure):
    """All that is written in a figure."""
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def box(artist):
    """Where an artist is, in pixels."""
    return artist.get_window_extent()
