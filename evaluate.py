"""python evaluate.py run=runs/NAME, or experiment=STEM checkpoint=FILE"""

import sys

from vidrec.cli import run

if __name__ == "__main__":
    run("evaluate", sys.argv[1:])
