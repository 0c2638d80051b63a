"""Looking at the pictures that were written."""

import numpy as np
from matplotlib.image import imread


def pixels(path):
    image = imread(path)
    assert image.std() > 0.01  # something is drawn
    return (image[..., :3] * 255).round().astype(int)


def has_colour(image, red, green, blue, tolerance=40):
    return (np.abs(image - (red, green, blue)).max(axis=-1) < tolerance).any()
