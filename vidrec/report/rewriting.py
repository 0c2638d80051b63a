"""The report of a run or an evaluation once more, from the files in its folder."""

from pathlib import Path

from vidrec.report import card as cards
from vidrec.report.card import Card
from vidrec.report.files import PAGE, write_page, write_report
from vidrec.report.page import page
from vidrec.report.run_files import card_of_run, is_in_use, rows_of_run
from vidrec.tracking import status


def card_of_folder(folder: Path) -> Card:
    """The card of a run directory, brought up to date, or of an evaluation's folder.

    Never call it in the process that trains in the folder. Raises FileNotFoundError if it has
    neither.
    """
    if not (folder / status.FILE).is_file() and (folder / cards.FILE).is_file():
        return cards.read(folder)
    card = card_of_run(folder)
    if card.state == "running" and not is_in_use(folder):
        card.state = "killed"
    return card


def rewrite_report(folder: Path, out: Path | None = None, state: str | None = None) -> Path:
    """Write the page of a folder anew; returns its path.

    out: the file, by default report.html in the folder, beside which report.json is then written
    too. state: of the run, if it is known; then it is the calling process that has the folder.
    Raises FileExistsError if a file that vidrec did not write has one of the names.
    """
    card = card_of_folder(folder) if state is None else card_of_run(folder)
    card.state = state or card.state
    rows = rows_of_run(folder)
    if out is None or out.resolve() == (folder / PAGE).resolve():
        return write_report(card, folder, rows)
    return write_page(page(card, folder, rows), out)
