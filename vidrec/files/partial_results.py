"""The results so far of an interrupted command, in a folder beside the file that it writes."""

import shutil
from pathlib import Path


def partial_results_of(out: str) -> Path:
    """The folder of the command that writes `out`."""
    return Path(f"{out}.parts")


def open_partial_results(out: str, settings: str) -> Path:
    """Create that folder; results of a command with other settings are deleted."""
    folder = partial_results_of(out)
    marker = folder / "settings"
    if folder.exists() and not (marker.exists() and marker.read_text() == settings):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_text(settings)
    return folder
