"""Text in the fonts of this machine: names of classes and files come in any script.

The usual font, which matplotlib brings along, has Latin, Greek, Cyrillic and Arabic letters. Others
are taken from whatever font is installed. What no font has is written as its code, `U+732B`:
different names then stay different, which rows of empty boxes would not.
"""

import unicodedata
from functools import cache

from PIL import ImageFont

USUAL = "DejaVu Sans"


def drawable(text: str) -> str:
    """The text in one line, with the codes of letters that no font has.

    >>> drawable("caf\\u0065\\u0301 \\n \\ufffe")
    'café U+FFFE'
    """
    letters = unicodedata.normalize("NFC", " ".join(text.split()))
    return "".join(
        letter if _is_blank(letter) or _path_with(letter) else f"U+{ord(letter):04X}"
        for letter in letters
    )


def further_families(text: str) -> list[str]:
    """Families that have the letters of a `drawable` text which the usual one lacks."""
    paths = {_path_with(letter): None for letter in text if not _is_blank(letter)}
    return [_installed()[path] for path in paths if path not in (None, _usual())]


def font_for(text: str, size: int) -> ImageFont.FreeTypeFont:
    """A font for pictures that has as many letters of a `drawable` text as possible.

    Fonts of other scripts have Latin letters too, so that one is enough for nearly all names.
    """
    needed = {ord(letter) for letter in text if not _is_blank(letter)}
    paths = dict.fromkeys([_usual(), *(path for c in needed if (path := _path_with(chr(c))))])
    return _loaded(max(paths, key=lambda path: len(needed & _letters(path))), size)


def width_of(letter: str) -> int:
    """2 for the wide letters of East Asian scripts, else 1."""
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _is_blank(letter: str) -> bool:
    """Spaces and signs that have no shape of their own, such as joiners."""
    return letter == " " or unicodedata.category(letter) == "Cf"


@cache
def _loaded(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)


@cache
def _usual() -> str:
    from matplotlib.font_manager import findfont

    return findfont(USUAL)


@cache
def _path_with(letter: str) -> str | None:
    """The file of the first font with a letter."""
    return next((p for p in (_usual(), *_installed()) if ord(letter) in _letters(p)), None)


@cache
def _installed() -> dict[str, str]:
    """The files of upright fonts and their families, those of one script after each other."""
    from matplotlib.font_manager import fontManager

    entries = sorted(fontManager.ttflist, key=lambda entry: (entry.name, str(entry.weight)))
    upright = [entry for entry in entries if entry.style == "normal"]
    # The last resort has a box for every code, TeX's fonts (cmr10) have codes of their own.
    return {e.fname: e.name for e in upright if not e.name.startswith(("Last Resort", "cm"))}


@cache
def _letters(path: str) -> frozenset[int]:
    """The codes that a font has; none if its letters are bitmaps of one size."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):  # listed, but gone or broken
        return frozenset()
    return frozenset(font.get_charmap()) if font.scalable else frozenset()
