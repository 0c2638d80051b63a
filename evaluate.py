"""python evaluate.py run=runs/NAME, or experiment=STEM checkpoint=FILE"""

import sys

from vidrec.cli import run

# Hydra's completion for the shell only completes files that say "@hydra.main".
if __name__ == "__main__":
    run("evaluate", sys.argv[1:])
