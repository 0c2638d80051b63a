"""Evaluate a run or a checkpoint, or score dumped predictions; the arguments are overrides."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from vidrec.config.compose import conf_dir, register
from vidrec.config.overrides import overrides_of_run, set_argv
from vidrec.config.schema import EvaluateConf
from vidrec.errors import told_in_a_sentence

register()


def main(arguments: list[str]) -> None:
    """Entry point of `python evaluate.py` and `vidrec evaluate`.

    `run=DIR` stands for the overrides that DIR was trained with and its best checkpoint.
    """
    set_argv(with_run(arguments))
    run()


def with_run(arguments: list[str]) -> list[str]:
    """The arguments with `run=DIR` written out; ends the program where DIR is no run."""
    runs = [Path(argument[4:]) for argument in arguments if argument.startswith("run=")]
    arguments = [argument for argument in arguments if not argument.startswith("run=")]
    try:
        for folder in runs[-1:]:
            arguments = overrides_of_run(folder, arguments)
            named = ("checkpoint=", "score=")
            if not any(argument.lstrip("+").startswith(named) for argument in arguments):
                best = folder / "best.pt"
                arguments.append(f"checkpoint='{best if best.exists() else folder / 'last.pt'}'")
    except FileNotFoundError as error:
        raise SystemExit(str(error)) from None
    return arguments


@hydra.main(version_base="1.3", config_path=conf_dir(), config_name="evaluate")
def run(cfg: DictConfig) -> None:
    """Evaluate as `cfg` says."""
    # Imported here so that `--help` and `--cfg job` answer at once.
    from vidrec.config import validation

    with told_in_a_sentence():
        conf = validation.check(cfg, EvaluateConf)
        assert isinstance(conf, EvaluateConf)
        from vidrec.commands.evaluate_run import evaluate_run

        evaluate_run(conf)
