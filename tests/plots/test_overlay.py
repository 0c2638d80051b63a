"""Panels fit into frames of any size, whatever the names of the classes are."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vidrec.plots.lettering import font_for
from vidrec.plots.overlay import Bar, ScoreRow, draw_position, fitted, score_panel, segment_bar

NAMES = ["", " ", "a" * 5000, "腕相撲 🥋", "مصارعة الأذرع", "\x00\n\t\u202e", "<b>&$x_1$", "é" * 40]


@pytest.mark.parametrize("size", [(478, 360), (1920, 1080), (202, 360), (1920, 96), (8, 8)])
def test_panels_of_any_names_fit_into_frames_of_any_size(size):
    panel = score_panel([ScoreRow(name, -3.2, 7.0) for name in NAMES], size, title="x" * 900)
    assert panel.width <= max(0.6 * size[0] + 1, 20)
    assert np.asarray(panel)[..., 3].max() > 0


def test_a_text_is_cut_where_it_has_to_be_and_nowhere_else():
    assert fitted("arm wrestling", 14, 500) == "arm wrestling"
    for width in range(0, 120, 7):
        text = fitted("arm wrestling", 14, width)
        assert font_for(text, 14).getlength(text) <= width or not text
        assert text in ("", "arm wrestling") or (text[-1] == "…" and len(text) > 1)
    assert fitted("arm wrestling", 14, 60).startswith("arm")


def bar_length(panel, row, colour):
    line = np.asarray(panel)[..., :3][row]
    return int((np.abs(line.astype(int) - colour).max(axis=1) < 30).sum())


def test_a_bar_is_as_long_as_its_score():
    size = (1200, 360)
    lengths = [
        bar_length(
            score_panel([ScoreRow("", 0.0, filled, (224, 130, 20))], size), 9, (224, 130, 20)
        )
        for filled in (0.0, 0.25, 0.5, 1.0)
    ]
    full = lengths[-1]
    assert lengths == pytest.approx([0, full / 4, full / 2, full], abs=2)
    assert full > 100


def test_segments_are_where_they_are_in_the_video():
    size = (1000, 400)
    bar = segment_bar([Bar(0.25, 0.5, 0, (200, 0, 0)), Bar(0.4, 1.0, 1, (0, 200, 0))], size)
    pixels = np.asarray(bar)[..., :3].astype(int)
    for channel, start, end in ((0, 250, 500), (1, 400, 1000)):
        columns = np.flatnonzero((pixels[..., channel] > 150).any(axis=0))
        assert (columns.min(), columns.max()) == (start, end - 1)
    rows = [set(np.flatnonzero((pixels[..., c] > 150).any(axis=1))) for c in (0, 1)]
    assert not rows[0] & rows[1]


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0, 1.2])
def test_the_position_is_in_the_picture(fraction):
    picture = Image.new("RGB", (100, 50))
    draw_position(ImageDraw.Draw(picture), fraction, 20, picture.size)
    columns = np.flatnonzero(np.asarray(picture)[45].max(axis=1) == 255)
    assert abs(columns.mean() - min(100 * fraction, 99)) <= 1
