"""Print the results of a sweep as a table, and write them as a csv file and a figure."""

import argparse
from pathlib import Path

from vidrec.files.signature import refuse_others, sign
from vidrec.tracking.sweep import metrics, read_rows, table, text, write_csv


def main(arguments: list[str]) -> None:
    """Entry point of `vidrec sweep`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the directory of a sweep, runs/sweep+...")
    parser.add_argument("--csv", type=Path, help="where to write the table (default: in FOLDER)")
    parser.add_argument("--png", type=Path, help="where to draw the curves (default: in FOLDER)")
    options = parser.parse_args(arguments)
    named = [path for path in (options.csv, options.png) if path]
    try:
        rows = read_rows(options.folder)
        refuse_others(named)
    except OSError as error:
        raise SystemExit(f"error: {error}") from None
    lines = table(rows)
    print(text(lines))
    csv_path = options.csv or options.folder / "sweep.csv"
    write_csv(lines, csv_path)
    from vidrec.plots.curves import draw_sweep_curves

    png_path = options.png or options.folder / "sweep.png"
    draw_sweep_curves(
        {row.folder.name: row.folder / "metrics.jsonl" for row in rows}, metrics(rows), png_path
    )
    for path in named:
        sign(path)
    print(f"{csv_path}, {png_path}")
