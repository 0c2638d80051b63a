"""Where the checkout and the reference figures are, for tests in any folder."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"
