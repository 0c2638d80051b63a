"""python train.py model=tsn data=kinetics400 key=value"""

import sys

from vidrec.cli import run

if __name__ == "__main__":
    run("train", sys.argv[1:])
