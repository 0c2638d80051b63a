"""The commands: `python train.py`, `python evaluate.py` and `vidrec COMMAND`.

Imports nothing heavy, so that `--help`, `--cfg job` and the error for a typo come at once.
"""

from __future__ import annotations

import atexit
import math
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidrec import __version__

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from vidrec.config.schema import TrainConf

FAILED = 3  # exit status of a task whose run failed


@dataclass(frozen=True)
class Command:
    """One command.

    function: `module:name`. With a schema, a dataclass of `vidrec.config.schema`, the arguments are
        overrides of conf/NAME.yaml and the function gets the checked configuration; without one it
        gets the arguments.
    """

    summary: str
    function: str
    schema: str | None = None

    @property
    def takes_run(self) -> bool:
        """Whether `run=DIR` stands for what DIR was trained with and its best checkpoint."""
        return self.schema is not None and self.schema != "TrainConf"

    def load(self) -> Callable[..., Any]:
        module, name = self.function.split(":")
        return getattr(import_module(module), name)


COMMANDS = {
    "train": Command("train a model", "vidrec.commands.train:train_run", "TrainConf"),
    "evaluate": Command(
        "evaluate a run or a checkpoint, or score predictions in files",
        "vidrec.commands.evaluate:evaluate_run",
        "EvaluateConf",
    ),
    "export": Command(
        "write a network as a torch.export program or ONNX",
        "vidrec.commands.export:export_run",
        "ExportConf",
    ),
    "extract": Command(
        "extract features of videos with a recognition network",
        "vidrec.commands.extract:extract_run",
        "ExtractConf",
    ),
    "bank": Command(
        "write a bank of long-term features of boxes, for action detection",
        "vidrec.commands.bank:bank_run",
        "BankConf",
    ),
    "proposals": Command(
        "write the proposals of BSN's first network for its second one",
        "vidrec.commands.proposals:proposals_run",
        "ProposalsConf",
    ),
    "persons": Command(
        "detect persons in videos, as proposals for action detection",
        "vidrec.commands.persons:main",
    ),
    "migrate": Command(
        "translate a configuration of MMAction2 or PySlowFast", "vidrec.commands.migrate:main"
    ),
    "data": Command(
        "write the lists of a dataset from its official files",
        "vidrec.commands.data:main",
    ),
    "sweep": Command("show the results of a sweep as a table", "vidrec.commands.sweep:main"),
    "zoo": Command("list the published models", "vidrec.commands.zoo:main"),
}


def usage() -> str:
    width = max(map(len, COMMANDS))
    rows = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    head = ["usage: vidrec COMMAND [ARGUMENT ...]", "", "commands:"]
    return "\n".join([*head, *rows, "", "`vidrec COMMAND --help` describes a command."])


def main() -> None:
    """Entry point of `vidrec`: runs the command named by the first argument."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(usage())
        return
    if name == "--version":
        print(f"vidrec {__version__}")
        return
    if name not in COMMANDS:
        from vidrec.config.slips import other_command
        from vidrec.errors import did_you_mean

        hint = other_command(name) or did_you_mean(name, COMMANDS)
        raise SystemExit(f"vidrec: there is no command '{name}'; {hint}")
    # A command that parses its own arguments calls itself by this name in its help.
    sys.argv = [f"vidrec {name}", *arguments]
    run(name, arguments)


def run(name: str, arguments: list[str]) -> None:
    """Run a command with its arguments."""
    command = COMMANDS[name]
    if command.schema is None:
        command.load()(arguments)
        return
    import hydra

    from vidrec.config.compose import conf_dir, register
    from vidrec.config.overrides import set_argv

    if command.takes_run and any(argument.startswith("run=") for argument in arguments):
        from vidrec.weights.run_directory import with_run

        arguments = with_run(arguments)
    set_argv(arguments)
    register()
    task = train if name == "train" else execute
    hydra.main(version_base="1.3", config_path=conf_dir(), config_name=name)(task)()


def execute(cfg: DictConfig) -> None:
    """Run the command that `cfg` configures."""
    from hydra.core.hydra_config import HydraConfig

    from vidrec.errors import told_in_a_sentence

    command = COMMANDS[str(HydraConfig.get().job.config_name)]
    with told_in_a_sentence():
        conf, _ = checked(cfg, command)
        command.load()(conf)


def checked(cfg: DictConfig, command: Command) -> tuple[TrainConf, list[str]]:
    """The configuration as dataclasses, and notes on what was made of it.

    Raises ConfigError with every problem.
    """
    from vidrec.config import schema, trust, validation
    from vidrec.config.completion import complete
    from vidrec.config.compose import current_overrides

    assert command.schema is not None
    notes = complete(cfg, current_overrides())
    from_run = command.takes_run and cfg.run is not None
    packages = [*trust.PACKAGES, *cfg.trust] if from_run else None
    return validation.check(cfg, getattr(schema, command.schema), packages=packages), notes


def train(cfg: DictConfig) -> float:
    """Train a configuration; returns the best validation score, which a sweep optimises.

    NaN for a run of a sweep that failed: the others go on.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from vidrec.config.compose import current_overrides
    from vidrec.config.recipe_diff import changes
    from vidrec.engine.preempt import Interrupted, give_back, requeue_before_training
    from vidrec.errors import EXPECTED, ConfigError, sentence, wants_tracebacks
    from vidrec.tracking.record import RunRecord

    requeue_before_training()
    folder = Path(os.path.relpath(HydraConfig.get().runtime.output_dir))
    command = COMMANDS["train"]
    try:
        conf, notes = checked(cfg, command)
        overrides = current_overrides()
        config = OmegaConf.to_yaml(cfg, resolve=True)
        record = RunRecord(overrides, config, changes(cfg, overrides), notes)
        return command.load()(conf, folder, record)
    except Interrupted as stopped:
        give_back(stopped.signal)
        raise
    except Exception as error:
        in_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
        if isinstance(error, EXPECTED) and not wants_tracebacks():
            kind = "configuration error" if isinstance(error, ConfigError) else "error"
            message = f"{kind}: {sentence(error)}"  # the traceback is in the run's train.log
        elif in_sweep:
            message = traceback.format_exc()
        else:
            raise
    return failed(message, folder)


def failed(message: str, folder: Path) -> float:
    """End the run with a message: the process, or in a sweep this run alone."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from vidrec.config.compose import current_overrides
    from vidrec.engine.preempt import in_slurm_job
    from vidrec.tracking import status

    if HydraConfig.get().mode != RunMode.MULTIRUN:
        raise SystemExit(message)
    print(message, file=sys.stderr, flush=True)
    if not (folder / "config.yaml").exists():  # a run that is there wrote its status itself
        error = message.strip().splitlines()[-1].removeprefix("error: ")
        status.write(folder, "failed", error=error, overrides=current_overrides())
    if in_slurm_job():
        # The job must count as failed and its other tasks must end, but the first one's result is
        # what the sweep waits for: its process leaves with the status after handing it over.
        if os.environ.get("SLURM_PROCID") != "0":
            os._exit(FAILED)
        atexit.register(os._exit, FAILED)
    return math.nan
