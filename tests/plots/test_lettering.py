import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

from vidrec.plots.lettering import drawable, font_for, further_families
from vidrec.plots.style import clipped, new_figure, save_figure, shorten

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # there on every machine


def letters(name):
    return set(FT2Font(FONTS / name).get_charmap())


# Letters that a second font of matplotlib has and the usual one has not.
ELSEWHERE = sorted(map(chr, letters("STIXGeneral.ttf") - letters("DejaVuSans.ttf")))
ELSEWHERE = [letter for letter in ELSEWHERE if letter.isalpha()][:20]


def shape(text, font):
    picture = Image.new("L", (80, 40))
    ImageDraw.Draw(picture).text((4, 4), text, 255, font)
    return np.asarray(picture)


def test_letters_of_other_fonts_are_drawn_and_no_boxes():
    box = shape("\U0010fffd", ImageFont.truetype(str(FONTS / "DejaVuSans.ttf"), 16))
    for letter in ELSEWHERE:
        assert drawable(letter) == letter
        assert len(further_families(letter)) == 1
        drawn = shape(letter, font_for(letter, 16))
        assert drawn.any()
        assert (drawn != box).any()


def test_a_letter_that_no_font_has_is_told_by_its_code():
    assert drawable("a\U0010fffdb") == "aU+10FFFDb"
    assert drawable("a\tb\n c") == "a b c"
    assert further_families("plain, кошка, ελ") == []


@pytest.mark.parametrize("text", ["猫", "🐱 gato", "кошка", "นก", "a $b$ {c} \\x", *ELSEWHERE[:3]])
def test_no_name_makes_matplotlib_warn(tmp_path, text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = new_figure(2, 1)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_title(shorten(text, 30))
        axes.set_yticks([0], [shorten(text, 30)])
        save_figure(figure, tmp_path / "a.png")


def test_wide_letters_take_the_room_of_two(monkeypatch):
    monkeypatch.setattr("vidrec.plots.style.drawable", str)
    assert clipped("猫猫猫", 6) == "猫猫猫"
    assert clipped("猫猫猫", 5) == "猫猫…"
    assert clipped("猫猫猫", 5, from_left=True) == "…猫猫"
