"""Where a run puts its files."""

import tempfile
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class Writable(Callback):
    """Ends the program with a sentence where the run directory cannot be written.

    Hydra, which writes there first, ends with a traceback.
    """

    def on_run_start(self, config: DictConfig, **options: Any) -> None:
        HydraConfig.instance().set_config(config)  # what names the directory asks it
        folder = Path(config.hydra.run.dir)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise SystemExit(
                f"error: the run directory {folder} cannot be written: {error.strerror}; "
                "choose another with hydra.run.dir=..."
            ) from None
