"""Write the report of a run or an evaluation again, or compare several on one page."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vidrec.errors import told_in_a_sentence

if TYPE_CHECKING:
    from vidrec.report.compare import Result


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="a run directory, also of a run that is training or was interrupted, the folder of an "
        "evaluation, or the directory of a sweep; several are compared",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="the file to write (default: report.html in RUN; of a comparison comparison.html)",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Entry point of `vidrec report`."""
    options = parse(arguments)
    with told_in_a_sentence():
        # Imported here so that `--help` answers at once.
        from vidrec.files.atomic_write import check_writable
        from vidrec.files.signature import refuse_others
        from vidrec.report.compare import comparison, letters_of, names_of
        from vidrec.report.files import write_page
        from vidrec.report.rewriting import rewrite_report

        if options.out is not None:
            check_writable(options.out)
            refuse_others([options.out])
        folders = folders_of(options.runs)
        if len(folders) == 1:
            print(rewrite_report(folders[0], options.out))
            return
        named = zip(letters_of(len(folders)), names_of(folders), folders, strict=True)
        page = comparison([result_of(*own) for own in named])
        print(write_page(page, options.out or Path("comparison.html")))


def folders_of(paths: list[Path]) -> list[Path]:
    """The folders of results: a report.json stands for its folder, a sweep for its runs.

    Raises FileNotFoundError if there is nothing at a path, ValueError if one is given twice.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"there is no run directory {path}")
        folder = path if path.is_dir() else path.parent
        is_result = any((folder / n).is_file() for n in ("status.json", "report.json"))
        runs = sorted(file.parent for file in folder.glob("*/status.json"))
        found += [folder] if is_result or not runs else runs
    twice = [folder for i, folder in enumerate(found) if folder.resolve() in _resolved(found[:i])]
    if twice:
        raise ValueError(f"{twice[0]} is given twice")
    return found


def _resolved(folders: list[Path]) -> list[Path]:
    return [folder.resolve() for folder in folders]


def result_of(letter: str, name: str, folder: Path) -> "Result":
    """A result to compare, from its folder."""
    from vidrec.report.compare import Result
    from vidrec.report.rewriting import card_of_folder
    from vidrec.report.run_files import config_of_run, rows_of_run

    return Result(letter, name, card_of_folder(folder), rows_of_run(folder), config_of_run(folder))
