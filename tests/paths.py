"""Where the checkout and the reference figures are, for tests in any folder."""

import gzip
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"


def read_golden(name: str) -> Any:
    """The content of a .json.gz of tests/golden."""
    return json.loads(gzip.decompress((GOLDEN / name).read_bytes()))
