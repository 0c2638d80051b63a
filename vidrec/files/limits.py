"""Bounds on what a file may unpack to: a small one must not fill the memory of the machine."""

import os

MAX_BYTES = 1 << 30
"""Any file may unpack to as much, whatever its own size."""

EXPANSION = 20
"""A larger file may unpack to so many times its size; compressed scores take a fifth at best."""


class TooLarge(ValueError):
    """A file whose content takes far more memory or time than its size allows."""


def check_unpacked(path: str | os.PathLike[str], unpacked: int, max_bytes: int = MAX_BYTES) -> None:
    """Raise TooLarge if the content of a file takes too many bytes. max_bytes: see `MAX_BYTES`."""
    size = os.path.getsize(path)
    if unpacked > max(max_bytes, EXPANSION * size):
        raise TooLarge(f"its {size} bytes unpack to {unpacked}, more than any such file needs")
