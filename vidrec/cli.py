"""The commands: `python train.py`, `python evaluate.py` and `vidrec COMMAND`.

Imports nothing heavy, so that `--help`, `--cfg job` and the error for a typo come at once.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import math
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidrec import __version__

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from vidrec.config.command_line import CommandLine
    from vidrec.config.schema import TrainConf

FAILED = 3  # exit status of a task whose run failed


@dataclass(frozen=True)
class Command:
    """One command.

    function: `module:name`. With a schema, a dataclass of `vidrec.config.schema`, the arguments are
        overrides of conf/NAME.yaml and the function gets the checked configuration; without one it
        gets the arguments. examples: arguments, for the help.
    """

    summary: str
    function: str
    schema: str | None = None
    examples: tuple[str, ...] = ()

    @property
    def takes_run(self) -> bool:
        """Whether `run=DIR` stands for what DIR was trained with and its best checkpoint."""
        return self.schema is not None and self.schema != "TrainConf"

    def load(self) -> Callable[..., Any]:
        module, name = self.function.split(":")
        return getattr(import_module(module), name)


COMMANDS = {
    "train": Command(
        "train a model",
        "vidrec.commands.train:train_run",
        "TrainConf",
        (
            "model=tsn_tiny",
            "model=tsn data=folders data.root=DIR",
            "experiment=STEM data.root=DIR",
            "model=tsn data=ucf101 schedule.epochs=10 runtime.precision=bf16",
            "-m model=tsn,tsm schedule.optimizer.lr=0.01,0.02",
        ),
    ),
    "evaluate": Command(
        "evaluate a run or a checkpoint, or score predictions in files",
        "vidrec.commands.evaluate:evaluate_run",
        "EvaluateConf",
        (
            "run=runs/NAME",
            "run=runs/NAME split=val dump=scores.npz",
            "run=runs/NAME pictures=DIR",
            "experiment=STEM checkpoint=FILE data.root=DIR",
            "run=runs/NAME 'score=[rgb.npz,flow.npz]'",
        ),
    ),
    "predict": Command(
        "say what happens in videos: actions, persons with actions, or segments",
        "vidrec.commands.predict:main",
    ),
    "explain": Command(
        "show where and when a recognition network sees a class (Grad-CAM)",
        "vidrec.commands.explain:main",
    ),
    "export": Command(
        "write a network as a torch.export program or ONNX",
        "vidrec.commands.export:export_run",
        "ExportConf",
        (
            "run=runs/NAME out=model.pt2",
            "run=runs/NAME format=onnx out=model.onnx",
            "run=runs/NAME output=logits",
            "run=runs/NAME views=3 size=256",
            "model=swin3d checkpoint=FILE",
        ),
    ),
    "extract": Command(
        "extract features of videos with a recognition network",
        "vidrec.commands.extract:extract_run",
        "ExtractConf",
        (
            "run=runs/NAME videos=DIR out=features",
            "run=runs/NAME videos=FILE window=16 stride=16",
            "run=runs/NAME videos=DIR crops=test",
            "model=tsn checkpoint=FILE videos=DIR",
            "run=runs/NAME videos=DIR chunk=2",
        ),
    ),
    "bank": Command(
        "write a bank of long-term features of boxes, for action detection",
        "vidrec.commands.bank:bank_run",
        "BankConf",
        (
            "run=runs/NAME out=bank.npy",
            "run=runs/NAME split=val out=val.npy",
            "run=runs/NAME runtime.device=cpu",
            "model=slowonly_ava checkpoint=FILE data=ava21",
            "run=runs/NAME --cfg job",
        ),
    ),
    "proposals": Command(
        "write the proposals of BSN's first network for its second one",
        "vidrec.commands.proposals:proposals_run",
        "ProposalsConf",
        (
            "run=runs/NAME out=DIR",
            "run=runs/NAME out=DIR top_k=500",
            "run=runs/NAME out=DIR peak_threshold=0.6",
            "model=bsn_tem checkpoint=FILE out=DIR",
            "run=runs/NAME --cfg job",
        ),
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
    "report": Command(
        "write the report of a run again, or compare several", "vidrec.commands.report:main"
    ),
    "verify": Command(
        "evaluate again what a report says, and compare the scores", "vidrec.commands.verify:main"
    ),
    "sweep": Command("show the results of a sweep as a table", "vidrec.commands.sweep:main"),
    "zoo": Command("list the published models", "vidrec.commands.zoo:main"),
}


def usage() -> str:
    width = max(map(len, COMMANDS))
    rows = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    head = ["usage: vidrec COMMAND [ARGUMENT ...]", "", "commands:"]
    return "\n".join([*head, *rows, "", "`vidrec COMMAND --help` describes a command."])


@contextlib.contextmanager
def ends_quietly() -> Iterator[None]:
    """End as other programs do, by SIGPIPE, once nobody reads the output: `vidrec zoo | head`.

    Not with the signal's default action from the start: that would also end a training whose
    dashboard closes a connection.
    """
    try:
        yield
        sys.stdout.flush()
    except BaseException as error:
        is_exit = isinstance(error, (SystemExit, BrokenPipeError))
        if is_exit and _nobody_reads():
            message = getattr(error, "code", None)
            if isinstance(message, str) and not isinstance(error.__context__, BrokenPipeError):
                print(message, file=sys.stderr, flush=True)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGPIPE)
        raise


def _nobody_reads() -> bool:
    """Whether the output is a pipe whose other end is closed."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):  # replaced, as in tests
        return False
    poll = select.poll()
    poll.register(number, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def main() -> None:
    """Entry point of `vidrec`: runs the command named by the first argument."""
    with ends_quietly():
        _main()


def _main() -> None:
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(usage())
        return
    if name == "--version":
        print(f"vidrec {__version__}")
        return
    if name in ("-sc", "--shell-completion"):
        _complete_shell(arguments)
        return
    if name not in COMMANDS:
        from vidrec.config.slips import other_command
        from vidrec.errors import did_you_mean

        hint = other_command(name) or did_you_mean(name, COMMANDS)
        raise SystemExit(f"vidrec: there is no command '{name}'; {hint}")
    # A command that parses its own arguments calls itself by this name in its help.
    sys.argv = [f"vidrec {name}", *arguments]
    run(name, arguments)


def _complete_shell(arguments: list[str]) -> None:
    """`vidrec -sc install=bash`, and what the shell then asks: the names of commands, or what
    Hydra completes for the command that the line begins with.
    """
    line = os.environ.get("COMP_LINE", "")
    words = line.split(maxsplit=2)
    name = words[1] if len(words) > 1 and words[1] in COMMANDS else ""
    is_query = any(argument.startswith("query=") for argument in arguments)
    if is_query and (not name or COMMANDS[name].schema is None):
        print(*([] if name else COMMANDS), sep="\n")
        return
    rest = words[2] if len(words) > 2 else ""
    if is_query:
        os.environ["COMP_LINE"] = f"{words[0]} {rest}"
        os.environ["COMP_POINT"] = str(len(os.environ["COMP_LINE"]))
    run(name or "train", ["-sc", *arguments])


def run(name: str, arguments: list[str]) -> None:
    """Run a command with its arguments."""
    command = COMMANDS[name]
    with ends_quietly():
        if command.schema is None:
            command.load()(arguments)
        else:
            _run_composed(name, arguments)


def _run_composed(name: str, arguments: Sequence[str]) -> None:
    """Run a command whose arguments are overrides of a configuration."""
    command = COMMANDS[name]
    assert command.schema is not None
    from vidrec.config.conf_folders import conf_folders, use_working_directory
    from vidrec.errors import ConfigError, told_in_a_sentence

    if {"-h", "--help"} & {*arguments}:
        from vidrec.config.help_page import help_page

        program = f"python {sys.argv[0]}" if sys.argv[0].endswith(".py") else f"vidrec {name}"
        with told_in_a_sentence():
            folders = conf_folders(arguments)
        print(help_page(program, command.summary, command.schema, command.examples, folders))
        return
    import hydra

    from vidrec.config import command_line
    from vidrec.config.compose import conf_dir, register
    from vidrec.config.shown import shown
    from vidrec.config.slips import first_slip

    register()
    with told_in_a_sentence():
        given = command_line.spelled_out(arguments)
        repeating, of_run = given, list[str]()
        if command.takes_run and any(argument.startswith("run=") for argument in given):
            from vidrec.weights.run_directory import with_run

            repeating, of_run = with_run(given)
        folders = conf_folders(given, of_run)
        if problem := first_slip(given, folders):
            raise ConfigError(problem)
        line = command_line.read(repeating, folders)
        flags = line.flags
        if flags.cfg == "job":
            print(shown(name, line.overrides, flags.package, flags.resolve), end="")
            return
        if not (
            flags.help or flags.cfg or flags.info or flags.hydra_help or flags.shell_completion
        ):
            _check_composes(name, line, given, of_run)
    use_working_directory()
    sys.argv[1:] = line.for_hydra()
    task = train if name == "train" else execute
    start = hydra.main(version_base="1.3", config_path=conf_dir(), config_name=name)(task)
    if flags.cfg is None:
        start()
        return
    with contextlib.redirect_stdout(io.StringIO()) as printed:  # Hydra would show a broken pipe
        start()
    print(printed.getvalue(), end="")


def _check_composes(
    name: str, line: CommandLine, given: Sequence[str], folders_of_run: Sequence[str]
) -> None:
    """Raise ConfigError where Hydra would refuse the command in words of its own.

    given: the arguments of the user. folders_of_run: those that the run asks for.
    """
    from vidrec.config.command_line import read
    from vidrec.config.conf_folders import conf_folders
    from vidrec.config.shown import composed_or_told

    cfgs = [composed_or_told(name, overrides) for overrides in line.of_runs()]
    if folders_of_run:
        from vidrec.weights.run_directory import is_of_training, refuse_more_than_training

        beside = [override for override in given if not is_of_training(override)]
        bare = composed_or_told(name, read(beside, conf_folders(given)).overrides)
        refuse_more_than_training(cfgs[0], bare, folders_of_run)


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
    from vidrec.config.conf_folders import use_working_directory, used_folders
    from vidrec.config.recipe_diff import changes
    from vidrec.engine.preempt import Interrupted, give_back, requeue_before_training
    from vidrec.errors import EXPECTED, ConfigError, sentence, wants_tracebacks
    from vidrec.tracking.record import RunRecord

    requeue_before_training()
    use_working_directory()  # in the process of a launcher too
    folder = Path(os.path.relpath(HydraConfig.get().runtime.output_dir))
    command = COMMANDS["train"]
    try:
        conf, notes = checked(cfg, command)
        overrides = current_overrides()
        config = OmegaConf.to_yaml(cfg, resolve=True)
        used = used_folders("train", overrides)
        record = RunRecord(overrides, config, changes(cfg, overrides), notes, used)
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
