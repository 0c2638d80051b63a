"""`python small.py PROGRAM ARGUMENT ...` runs `python` or `vidrec`, with trainings made short.

Training has one step of two samples in each epoch and validates once; nothing else differs, not
even the name of the run or what it stores about its command.
"""

import os
import runpy
import sys
from pathlib import Path

FULL = "VIDREC_DOCS_FULL"  # set: trainings are not made short


def shorten() -> None:
    """Make `vidrec.commands.train` train briefly in this process."""
    from vidrec.commands import train

    train_run = train.train_run

    def short(conf, folder, record):
        conf.schedule.max_steps = 1
        conf.schedule.batch_size = min(conf.schedule.batch_size, 2)
        conf.schedule.val_interval = conf.schedule.epochs
        return train_run(conf, folder, record)

    train.train_run = short


def main(program: str, *arguments: str) -> None:
    is_script = program == "python" and arguments[:1] in [("train.py",), ("evaluate.py",)]
    if program == "python" and not is_script:
        os.execv(sys.executable, [sys.executable, *arguments])
    sys.path[0] = str(Path.cwd())  # as Python and pip's scripts do
    trains = arguments[0] in ("train.py", "train")
    if trains and FULL not in os.environ and "--cfg" not in arguments:
        shorten()
    sys.argv = [*arguments] if is_script else ["vidrec", *arguments]
    if is_script:
        runpy.run_path(arguments[0], run_name="__main__")
    else:
        from vidrec.cli import main as vidrec

        vidrec()


if __name__ == "__main__":
    main(*sys.argv[1:])
