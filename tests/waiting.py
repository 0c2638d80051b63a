"""Tests wait for conditions; the limits only end tests of a program that hangs."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LIMIT = 600.0  # seconds


def until(condition: Callable[[], T], seconds: float = LIMIT) -> T:
    """Wait until `condition()` is true; returns what it returned."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited for {seconds:.0f} s in vain"
        time.sleep(0.02)
    return found
