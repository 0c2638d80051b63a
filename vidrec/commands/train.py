"""Train a model; the arguments are overrides of the configuration."""

import os
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from vidrec.config import conf_dir, register
from vidrec.errors import EXPECTED, sentence
from vidrec.overrides import hand_to_hydra

register()


def main(arguments: list[str]) -> None:
    """Entry point of `python train.py` and `vidrec train`."""
    hand_to_hydra(arguments)
    run()


@hydra.main(version_base="1.3", config_path=conf_dir(), config_name="train")
def run(cfg: DictConfig) -> float:
    """Train as `cfg` says; returns the best validation score, which a sweep optimises."""
    # Imported here so that `--help` and `--cfg job` answer at once.
    from vidrec import validation

    try:
        conf = validation.check(cfg)
        from vidrec.training import train_run

        folder = Path(os.path.relpath(HydraConfig.get().runtime.output_dir))
        return train_run(conf, folder, OmegaConf.to_yaml(cfg, resolve=True))
    except validation.ConfigError as error:
        raise SystemExit(f"configuration error: {error}") from None
    except EXPECTED as error:
        # The traceback is in the run's train.log.
        raise SystemExit(f"error: {sentence(error)}") from None
