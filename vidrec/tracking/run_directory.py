"""The run directory before there is a run in it: can it be written, and is it left if not used?"""

import atexit
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from vidrec.config.compose import current_overrides
from vidrec.config.run_name import former_run_name


class RunDirectory(Callback):
    """Hydra's callback at the start of a run: Hydra creates the directory whatever comes then.

    Ends the program with a sentence if it is not writable, where Hydra would show a traceback, and
    removes it at exit if it is new and nothing was written into it.
    """

    def on_run_start(self, config: DictConfig, **options: object) -> None:
        HydraConfig.instance().set_config(config)  # the resolver of the directory reads it
        folder = Path(config.hydra.run.dir)
        _refuse_former_name(config, folder)
        new = [path for path in (folder, *folder.parents) if not path.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            _remove_empty(new)
            raise SystemExit(
                f"error: the run directory {folder} cannot be written: {error.strerror}; "
                "choose another with hydra.run.dir=..."
            ) from None
        atexit.register(_remove_empty, new)


def _refuse_former_name(config: DictConfig, folder: Path) -> None:
    """End the program if the same command has a run under the name of earlier versions."""
    if folder.exists() or any("run.dir=" in given for given in config.hydra.overrides.hydra):
        return
    name = former_run_name(dict(config.hydra.runtime.choices), current_overrides())
    former = folder.parent / name
    if former.is_dir():
        raise SystemExit(
            f"error: {former} has a run of this command, under the name that it had in earlier "
            f"versions: go on with it with hydra.run.dir='{former}', or start another one with "
            f"hydra.run.dir={folder}"
        )


def _remove_empty(folders: Sequence[Path]) -> None:
    with suppress(OSError):  # one that holds something
        for folder in folders:
            folder.rmdir()
