"""python evaluate.py run=runs/NAME, or experiment=STEM checkpoint=FILE"""

import sys

from vidrec.commands.evaluate import main

if __name__ == "__main__":
    main(sys.argv[1:])
