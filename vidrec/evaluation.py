"""One evaluation, from a checked configuration to numbers with their protocol."""

from pathlib import Path
from typing import Any

from vidrec import build
from vidrec.config import EvaluateConf
