"""A folder of what an interrupted command has done already, beside the file that it writes."""

import shutil
from pathlib import Path


def open_parts(out: str, settings: str) -> Path:
    """The folder OUT.parts; what it holds of a command with other settings is dropped."""
    folder = Path(f"{out}.parts")
    marker = folder / "settings"
    if folder.exists() and not (marker.exists() and marker.read_text() == settings):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_text(settings)
    return folder
