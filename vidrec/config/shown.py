"""`--cfg job`: the configuration that runs, as YAML."""

from collections.abc import Sequence

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import Container, DictConfig, OmegaConf, open_dict

from vidrec.config.completion import complete
from vidrec.config.compose import composed, hydra_tree
from vidrec.config.hydra_errors import told
from vidrec.errors import ConfigError


def composed_or_told(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """The configuration with Hydra's own node. Raises ConfigError where Hydra refuses it."""
    try:
        return composed(config_name, overrides, with_hydra=True)
    except (HydraException, ValueError) as error:
        raise ConfigError(told(error)) from error


def shown(config_name: str, overrides: Sequence[str], package: str | None, resolve: bool) -> str:
    """The configuration of a command line.

    overrides: as Hydra reads them. package: print this part alone. resolve: replace references by
    what they stand for. Raises ConfigError if there is no such part, or no such configuration.
    """
    cfg = composed_or_told(config_name, overrides)
    with hydra_tree():
        HydraConfig.instance().set_config(cfg)  # the resolver of the run's name reads it
        with open_dict(cfg):
            del cfg["hydra"]
        complete(cfg, overrides)
        if resolve:
            OmegaConf.resolve(cfg)
        part = OmegaConf.select(cfg, package) if package not in (None, "_global_") else cfg
        if part is None:
            raise ConfigError(f"--package {package}: the configuration has no such key")
        return OmegaConf.to_yaml(part) if isinstance(part, Container) else f"{part}\n"
