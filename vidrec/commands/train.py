"""Train a model; the arguments are overrides of the configuration."""

import atexit
import math
import os
import sys
import traceback
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vidrec.config.compose import conf_dir, register
from vidrec.config.overrides import set_argv
from vidrec.config.recipe_diff import changes
from vidrec.engine.preempt import Interrupted, give_back, in_slurm_job, requeue_before_training
from vidrec.errors import EXPECTED, sentence
from vidrec.tracking import status

FAILED = 3  # exit status of a task whose run failed

register()


def main(arguments: list[str]) -> None:
    """Entry point of `python train.py` and `vidrec train`."""
    set_argv(arguments)
    run()


@hydra.main(version_base="1.3", config_path=conf_dir(), config_name="train")
def run(cfg: DictConfig) -> float:
    """Train as `cfg` says; returns the best validation score, which a sweep optimises.

    NaN for a run of a sweep that failed: the others go on.
    """
    # Imported here so that `--help` and `--cfg job` answer at once.
    from vidrec.config import validation

    requeue_before_training()
    folder = Path(os.path.relpath(HydraConfig.get().runtime.output_dir))
    try:
        conf = validation.check(cfg)
        from vidrec.commands.train_run import train_run

        differs = changes(cfg, HydraConfig.get().overrides.task)
        return train_run(conf, folder, OmegaConf.to_yaml(cfg, resolve=True), differs)
    except Interrupted as stopped:
        give_back(stopped.signal)
        raise
    except validation.ConfigError as error:
        message = f"configuration error: {error}"
    except EXPECTED as error:
        message = f"error: {sentence(error)}"  # the traceback is in the run's train.log
    except Exception:
        if HydraConfig.get().mode != RunMode.MULTIRUN:
            raise
        message = traceback.format_exc()
    return failed(message, folder)


def failed(message: str, folder: Path) -> float:
    """End the run with a message: the process, or in a sweep this run alone."""
    if HydraConfig.get().mode != RunMode.MULTIRUN:
        raise SystemExit(message)
    print(message, file=sys.stderr, flush=True)
    status.write(folder, "failed", error=message.strip().splitlines()[-1].removeprefix("error: "))
    if in_slurm_job():
        # The job must count as failed and its other tasks must end, but the first one's result is
        # what the sweep waits for: its process leaves with the status after handing it over.
        if os.environ.get("SLURM_PROCID") != "0":
            os._exit(FAILED)
        atexit.register(os._exit, FAILED)
    return math.nan
