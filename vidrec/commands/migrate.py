"""Translate a configuration of MMAction2 1.x (.py) or PySlowFast (.yaml) to vidrec's."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from vidrec.errors import EXPECTED, sentence, wants_tracebacks
from vidrec.files.atomic_write import atomic_write
from vidrec.files.signature import refuse_others, sign
from vidrec.migrate.checked import checked
from vidrec.migrate.command_line import command
from vidrec.migrate.experiment_file import experiment_text
from vidrec.migrate.migrated import Migrated
from vidrec.migrate.translation import Row

INCOMPLETE, FAILED = 1, 2  # exit status: something has no counterpart; there is no result


def main(arguments: list[str]) -> None:
    """Entry point of `vidrec migrate`. Ends with status 0 if everything was translated, 1 if the
    table lists something, 2 if there is no result.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="a .py of MMAction2, or a .yaml of PySlowFast")
    parser.add_argument("--out", type=Path, help="write an experiment file instead of the command")
    given = parser.parse_args(arguments)
    try:
        migrated = checked(read(given.config))
        if given.out is not None:
            write(migrated, given.out, given.config.name)
    except EXPECTED as error:
        if wants_tracebacks():
            raise
        print(f"error: {sentence(error)}", file=sys.stderr)
        raise SystemExit(FAILED) from None
    print(report(migrated, given.out))
    raise SystemExit(INCOMPLETE if migrated.missing or migrated.problem else 0)


def read(config: Path) -> Migrated:
    """What a file is here. Raises ValueError, with the place, for one that cannot be read."""
    if config.suffix == ".py":
        from vidrec.migrate.mmaction2 import migrate
        from vidrec.migrate.python_file import read_python

        found = read_python(config)
        return migrate(found.values, config.stem, found.read)
    if config.suffix in (".yaml", ".yml"):
        from vidrec.migrate.pyslowfast import migrate_pyslowfast

        return migrate_pyslowfast(config)
    raise ValueError(f"{config}: pass a .py of MMAction2 or a .yaml of PySlowFast")


def write(migrated: Migrated, out: Path, source: str) -> None:
    """Write the experiment file; one that vidrec did not write is not replaced."""
    if out.suffix != ".yaml":
        raise ValueError(f"--out {out}: an experiment file ends in .yaml")
    refuse_others([out])
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out, "w") as stream:
        stream.write(experiment_text(migrated, source))
    sign(out)


def report(migrated: Migrated, out: Path | None) -> str:
    """The command or where the file is, then the tables."""
    lines = [command(migrated) if out is None else f"{out}: written"]
    if out is not None and out.parent.name == "experiment":
        folder = out.parent.parent
        arguments = ["--config-dir", str(folder), f"experiment={out.stem}"]
        lines.append(shlex.join(["python", "train.py", *arguments]))
    if migrated.problem:
        lines += ["", f"It is rejected as it stands: {migrated.problem}"]
    if migrated.missing:
        lines += ["", "Not translated:", *table(migrated.missing)]
    if migrated.notes:
        lines += ["", "Needs nothing here:", *table(migrated.notes)]
    return "\n".join(lines)


def table(rows: list[Row]) -> list[str]:
    """Aligned lines of key, value and what there is to say."""
    cells = [(row.key, text(row.value), row.why) for row in rows]
    widths = [max(len(cell[i]) for cell in cells) for i in range(2)]
    return [f"  {key:<{widths[0]}}  {value:<{widths[1]}}  {why}" for key, value, why in cells]


def text(value: Any) -> str:
    """A value, cut to what fits into a line."""
    written = value if isinstance(value, str) else repr(value)
    return written if len(written) <= 40 else f"{written[:37]}..."
