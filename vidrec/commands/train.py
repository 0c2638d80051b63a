"""One training run, from a checked configuration to the figures at its end."""

import math
import shlex
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from torch import nn

from vidrec import build
from vidrec.api import describe_model
from vidrec.config.schema import TrainConf
from vidrec.engine import checkpoint, distributed
from vidrec.engine.distributed import Distributed
from vidrec.engine.heartbeat import Heartbeat
from vidrec.engine.job import Job, Outcome, steps_per_epoch
from vidrec.engine.preempt import Interrupted
from vidrec.engine.rehearsal import has_own_parts, rehearse
from vidrec.engine.setup import net_to_device, set_torch_options
from vidrec.engine.train import train
from vidrec.errors import sentence
from vidrec.report import card
from vidrec.report.rewriting import rewrite_report
from vidrec.report.training import Trained, report_training
from vidrec.report.unreadable import unreadable_of_all
from vidrec.tasks import task_of
from vidrec.tasks.task import Evaluated, Figure, Task
from vidrec.tracking import status
from vidrec.tracking.console import duration
from vidrec.tracking.record import RunRecord
from vidrec.tracking.run import Run
from vidrec.weights.load import load_weights


def train_run(conf: TrainConf, folder: Path, record: RunRecord) -> float:
    """Train a configuration in `folder`; returns the best validation score."""
    dist = distributed.start(conf.runtime.device, conf.runtime.dist_timeout_minutes)
    run = Run(folder, dist.rank, conf.runtime, record)
    exit_code, agreed = 1, False  # agreed: all ranks end together
    where = f"the last checkpoint is {folder / checkpoint.LAST}; the same command resumes from it"

    def say(state: status.State, **facts: object) -> None:
        if run.accepted:  # of a rejected command the run in the folder knows nothing
            status.write(folder, state, **facts)

    def lost(which: str) -> None:
        say("failed", error=which)
        run.warn(f"{which}: this rank ends too; {where}", every_rank=True)

    heartbeat = Heartbeat(dist, lost)
    try:
        outcome = fit(conf, run, dist)
        say("finished", best=outcome.best)
        exit_code, agreed = 0, True
        return outcome.best
    except Interrupted:
        say("stopped")
        agreed = True
        raise
    except BaseException as error:
        which = heartbeat.wait_for_loss()
        say("failed", error=which or sentence(error))
        if which:
            raise RuntimeError(f"{which}: this rank ends too; {where}") from error
        raise
    finally:
        heartbeat.stop(clean=agreed)
        run.finish(exit_code)
        dist.stop()


def fit(conf: TrainConf, run: Run, dist: Distributed) -> Outcome:
    """Build everything, train, draw and report."""
    started = time.monotonic()
    schedule, runtime, task = conf.schedule, conf.runtime, task_of(conf)
    set_torch_options(runtime)
    build.prepare_data(conf, dist)
    metric = build.build_metric(conf.data)
    loaders = build.build_loaders(conf.data, schedule, runtime, dist)
    check_labels(conf, loaders)
    class_names = task.class_names(conf, loaders.val.dataset)
    net = build.build_net(conf.model)
    if conf.model.weights and not resumes(conf, run.folder):
        loaded = load_weights(
            net,
            conf.model.weights,
            min_backbone=conf.model.min_backbone,
            allow_non_finite=conf.model.allow_non_finite,
        )
        run.info(str(loaded))
    net = net_to_device(net, dist.device, sync_bn=schedule.sync_bn)
    optimizer = build.build_optimizer(net, schedule, dist.world)
    lr = build.build_lr(schedule, optimizer, steps_per_epoch(len(loaders.train), schedule))
    describe(conf, net, loaders, run, dist)
    job = Job(
        net=net,
        loss_fn=build.build_loss(conf.model),
        metric=metric,
        optimizer=optimizer,
        lr=lr,
        loaders=loaders,
        schedule=schedule,
        runtime=runtime,
        run=run,
        dist=dist,
        mixing=build.build_mixing(schedule),
        record=run.record,
        about=asdict(describe_model(conf, class_names)),
    )
    if has_own_parts(asdict(conf)):
        rehearse(job)
    outcome = train(job)
    unreadable = unreadable_of_all(loaders.bad_train.reasons | loaders.bad_val.reasons, dist)
    if dist.rank == 0:
        title = f"{conf.data.name} val, {which_epoch(metric.key, outcome, schedule.epochs)}"
        found = Evaluated(metric, outcome.rows, loaders.val.dataset, class_names, title=title)
        trained = Trained(
            conf=conf,
            record=run.record,
            net=net,
            datasets={"train": loaders.train.dataset, "val": loaders.val.dataset},
            found=found,
            figures=draw(task, found, run),
            seconds=time.monotonic() - started,
            unreadable=unreadable,
            options=options_of_hydra(),
        )
        report_page(trained, run, dist)
        report(metric.key, outcome, run, time.monotonic() - started)
    return outcome


def check_labels(conf: TrainConf, loaders: build.Loaders) -> None:
    """Raise ValueError if there is nothing to learn from, or to choose the best epoch by."""
    for split, loader in (("training", loaders.train), ("validation", loaders.val)):
        if (reason := task_of(conf).unlabelled(loader.dataset)) is not None:
            raise ValueError(f"{split} needs labels, but in data={conf.data.name} {reason}")


def resumes(conf: TrainConf, folder: Path) -> bool:
    """Whether a checkpoint will replace any weights loaded before."""
    if conf.runtime.resume == "auto":
        return (folder / checkpoint.LAST).exists()
    return conf.runtime.resume != "never"


def describe(
    conf: TrainConf, net: nn.Module, loaders: build.Loaders, run: Run, dist: Distributed
) -> None:
    """Log what is about to run, and warn if the batch size is not that of the recipe."""
    for note in run.record.notes:
        run.info(note)
    schedule = conf.schedule
    trained = sum(p.numel() for p in net.parameters() if p.requires_grad)
    effective = schedule.effective_batch(dist.world)
    run.info(
        f"{trained / 1e6:.2f} M parameters, {loaders.num_train:,} training and "
        f"{loaders.num_val:,} validation samples, "
        f"{effective} samples per step on {dist.world} x {dist.device.type}, "
        f"{conf.runtime.precision.value}"
    )
    task = task_of(conf)
    run.info(task.summary(loaders.val.dataset))
    if dist.rank == 0:
        for doubt in task.doubts({"train": loaders.train.dataset, "val": loaders.val.dataset}):
            run.warn(doubt)
    run.info(f"run directory: {run.folder}")
    if schedule.base_batch_size and effective != schedule.base_batch_size:
        scaled = "was scaled accordingly" if schedule.scale_lr else "is not scaled"
        run.warn(
            f"{effective} samples per step, but the recipe has {schedule.base_batch_size}: "
            f"the learning rate {scaled} (schedule.scale_lr)"
        )


def which_epoch(key: str, outcome: Outcome, num_epochs: int) -> str:
    """Of which epoch the figures are: the best one, if that came since this process started.

    key: the score that selects the best.
    """
    score = outcome.scores.get(key, math.nan)
    text = f"epoch {outcome.epoch} of {num_epochs}, {key} {score:.4f}"
    if score != outcome.best and not math.isnan(outcome.best):
        text += f" (the best, {outcome.best:.4f}, came before the run was resumed)"
    return text


def draw(task: Task, found: Evaluated, run: Run) -> list[Figure]:
    """Curves and the figures of the task, of the best epoch since this process started.

    Returns those that were drawn; one that fails is only warned about.
    """
    # Imported here because matplotlib takes a second and only rank 0 draws.
    from vidrec.plots.curves import draw_curves

    def drawn() -> Iterator[Figure]:
        path = run.folder / "curves.png"
        draw_curves(run.folder / "metrics.jsonl", path, found.metric)
        if not found.rows:  # finished before: the dashboard has everything
            return
        yield Figure("curves", path)
        yield from task.figures(found, run.folder)

    figures = []
    try:
        for figure in drawn():
            figures.append(figure)
            show = run.video if figure.path.suffix == ".mp4" else run.picture
            show(figure.name, figure.path)
    except Exception as error:  # of code of any kind, one's own metric and fonts included
        run.warn(f"a figure could not be drawn: {sentence(error)}")
    return figures


def report_page(trained: Trained, run: Run, dist: Distributed) -> None:
    """Write report.html and report.json; a failure is only warned about.

    A run that had finished before keeps those that it has.
    """
    if not trained.found.rows and (run.folder / card.FILE).exists():
        return
    try:
        if trained.found.rows:
            report_training(trained, run.folder, dist)
        else:
            rewrite_report(run.folder, state="finished")
    except Exception as error:  # of code of any kind, one's own records and metric included
        run.warn(f"the report could not be written: {sentence(error)}")


def options_of_hydra() -> list[str]:
    """What the command says about where the run is: `hydra.run.dir=...`."""
    if not HydraConfig.initialized():
        return []
    given = HydraConfig.get().overrides.hydra
    return [option for option in given if option.startswith("hydra.run.dir=")]


def report(key: str, outcome: Outcome, run: Run, seconds: float) -> None:
    """Log the best score and the files of the run. key: the score that selects the best."""
    folder = run.folder
    if outcome.rows:
        run.info(f"best val/{key} {outcome.best:.4f} after {duration(seconds)}")
    else:
        run.info(f"this run had already finished: best val/{key} {outcome.best:.4f}")
    found = [
        name
        for name in ("report.html", "best.pt", "last.pt", "metrics.jsonl", "train.log")
        if (folder / name).exists()
    ]
    found += sorted(path.name for path in folder.iterdir() if path.suffix in (".png", ".mp4"))
    run.info(f"{folder}: {', '.join(found)}")
    run.info(f"evaluate it: {shlex.join(['python', 'evaluate.py', f'run={folder}'])}")
