"""Write the proposals of a BSN's first network for its second; the arguments are overrides."""

import hydra
from omegaconf import DictConfig

from vidrec.commands.evaluate import with_run
from vidrec.config.compose import conf_dir, register
from vidrec.config.overrides import set_argv
from vidrec.config.schema import ProposalsConf
from vidrec.errors import told_in_a_sentence

register()


def main(arguments: list[str]) -> None:
    """Entry point of `vidrec proposals`.

    `run=DIR` stands for the overrides that DIR was trained with and its best checkpoint.
    """
    set_argv(with_run(arguments))
    run()


@hydra.main(version_base="1.3", config_path=conf_dir(), config_name="proposals")
def run(cfg: DictConfig) -> None:
    """Write proposals as `cfg` says."""
    # Imported here so that `--help` and `--cfg job` answer at once.
    from vidrec.config import validation

    with told_in_a_sentence():
        conf = validation.check(cfg, ProposalsConf)
        assert isinstance(conf, ProposalsConf)
        from vidrec.commands.proposals_run import proposals_run

        proposals_run(conf)
