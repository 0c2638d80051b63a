"""The two files of a report in their folder."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from vidrec.files.atomic_write import atomic_write
from vidrec.files.signature import refuse_others, sign
from vidrec.report import card as cards
from vidrec.report.card import Card
from vidrec.report.page import page

PAGE = "report.html"


def write_report(card: Card, folder: Path, rows: Sequence[Mapping[str, float]] = ()) -> Path:
    """Write report.json and report.html into `folder`, where the card's figures are.

    Returns the path of the page. rows: of metrics.jsonl. Raises FileExistsError if there are files
    of these names that vidrec did not write or that were edited since.
    """
    refuse_others([folder / cards.FILE, folder / PAGE])
    card.written = card.written or time.strftime("%Y-%m-%d %H:%M")
    sign(cards.write(card, folder))
    return write_page(page(card, folder, rows), folder / PAGE)


def check_report_folder(folder: Path) -> None:
    """Raise FileExistsError unless the folder is new, empty, or has a report that vidrec wrote."""
    refuse_others([folder / cards.FILE, folder / PAGE])
    if (folder / cards.FILE).exists() or not folder.exists():
        return
    if other := min((path.name for path in folder.iterdir()), default=None):
        raise FileExistsError(
            f"{folder} has files that are no report, such as {other}: choose another folder with "
            "report=FOLDER"
        )


def write_page(content: str, path: Path) -> Path:
    """Write a page. Raises FileExistsError if the file is there and not vidrec's."""
    refuse_others([path])
    with atomic_write(path, "w") as stream:
        stream.write(content)
    sign(path)
    return path
