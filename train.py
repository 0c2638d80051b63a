"""python train.py model=tsn data=kinetics400 key=value"""

import sys

from vidrec.cli import run

# Hydra's completion for the shell only completes files that say "@hydra.main".
if __name__ == "__main__":
    run("train", sys.argv[1:])
