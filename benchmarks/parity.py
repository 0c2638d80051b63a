"""Does a composed model give the reference implementation's numbers?

    python benchmarks/parity.py --golden FILE [--experiment STEM] [--tolerance 1e-9] [KEY=VALUE ...]

Runs tests/parity/parity.py, whose documentation describes FILE and the output, from any folder.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

search_path = [str(ROOT), os.environ.get("PYTHONPATH", "")]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, search_path))
# -P: packages in the working directory do not shadow ours.
os.execv(sys.executable, [sys.executable, "-P", "-m", "tests.parity.parity", *sys.argv[1:]])
