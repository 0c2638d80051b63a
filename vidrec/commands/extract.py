"""Turn videos into features of a recognition network; the arguments are overrides."""

import hydra
from omegaconf import DictConfig

from vidrec.commands.evaluate import with_run
from vidrec.config.compose import conf_dir, register
from vidrec.config.overrides import set_argv
from vidrec.config.schema import ExtractConf
from vidrec.errors import told_in_a_sentence

register()


def main(arguments: list[str]) -> None:
    """Entry point of `vidrec extract`.

    `run=DIR` stands for the overrides that DIR was trained with and its best checkpoint.
    """
    set_argv(with_run(arguments))
    run()


@hydra.main(version_base="1.3", config_path=conf_dir(), config_name="extract")
def run(cfg: DictConfig) -> None:
    """Extract as `cfg` says."""
    # Imported here so that `--help` and `--cfg job` answer at once.
    from vidrec.config import validation

    with told_in_a_sentence():
        conf = validation.check(cfg, ExtractConf)
        assert isinstance(conf, ExtractConf)
        from vidrec.commands.extract_run import extract_run

        extract_run(conf)
