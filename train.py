"""python train.py model=tsn data=kinetics400 key=value"""

import sys

from vidrec.commands.train import main

if __name__ == "__main__":
    main(sys.argv[1:])
