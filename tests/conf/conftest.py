"""Tests of recipes share recipes.py, whose assertions say what differs as those of tests do."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("recipes")
