"""The results so far of an interrupted command, in a folder beside the file that it writes.

The folder's name has a hash of everything that the results depend on: a command with other
settings has a folder of its own, and deletes nothing of the first one's.
"""

import glob
import hashlib
from pathlib import Path


def open_partial_results(out: str, settings: str) -> Path:
    """Create the folder of the command that writes `out`, with the npz files it has done so far.

    settings: all that the results depend on, by content.
    """
    digest = hashlib.sha256(settings.encode()).hexdigest()[:16]
    folder = Path(f"{out}.{digest}.parts")
    if not folder.exists():
        for other in sorted(glob.glob(f"{glob.escape(out)}.{'[0-9a-f]' * 16}.parts")):
            print(f"{other} has results of an interrupted command with other settings; it stays")
        folder.mkdir(parents=True)
    return folder


def delete_partial_results(folder: Path) -> None:
    """Delete the folder with its results; anything else in it stays."""
    for pattern in ("*.npz", ".*.npz.*.part"):  # the second: of a process that was killed
        for file in folder.glob(pattern):
            file.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
