"""A check that the run directory can be written, before anything else."""

import tempfile
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class Writable(Callback):
    """Ends the program with a sentence if the run directory is not writable.

    Hydra, which writes there first, would end it with a traceback.
    """

    def on_run_start(self, config: DictConfig, **options: object) -> None:
        HydraConfig.instance().set_config(config)  # the resolver of the directory reads it
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
