"""What is done to a configuration once Hydra has composed it, before it is checked or printed."""

from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

from vidrec.config.compose import SCHEMAS
from vidrec.config.contributions import contributions, of_overrides
from vidrec.config.replacing import has_replaced, replace_whole
from vidrec.config.stretching import EPOCHS, stretch


def complete(cfg: DictConfig, overrides: Sequence[str]) -> list[str]:
    """Replace nodes that are whole and stretch the schedule to `schedule.epochs`; in place.

    cfg: as composed. overrides: the command line that it was composed with. Returns notes for the
    user. Raises ConfigError for a `_replace_` that is not true.
    """
    sets_epochs = any(EPOCHS in given.leaves() for given in of_overrides(overrides))
    if not sets_epochs and not has_replaced(cfg):
        return []  # without a look at the files
    given = contributions(config_name(cfg), overrides)
    replace_whole(cfg, given)
    return stretch(cfg, given)


def config_name(cfg: DictConfig) -> str:
    """The file of the command that a configuration was composed from, such as `train`."""
    schema = OmegaConf.get_type(cfg)
    return next(name for name, node in SCHEMAS.items() if node is schema).removesuffix("_schema")
