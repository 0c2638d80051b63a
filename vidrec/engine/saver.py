"""When checkpoints are written, and how a run continues from one."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from signal import Signals
from typing import NoReturn

from vidrec.data.classes import class_difference
from vidrec.engine import checkpoint
from vidrec.engine.checkpoint import CheckpointError, Content
from vidrec.engine.job import Job
from vidrec.engine.preempt import Interrupt, Interrupted
from vidrec.engine.same_run import check_fits, differences, parameter_groups
from vidrec.engine.state import TrainState

# Ranks agree on stopping by communicating, which costs more than looking at a flag.
STEPS_BETWEEN_AGREEMENTS = 5


class Saver:
    """Writes `last.pt` and its further names when they are due or the process is asked to stop.

    Every rank must call the same methods in the same order; rank 0 writes.
    """

    def __init__(self, job: Job, state: TrainState, interrupt: Interrupt) -> None:
        json.dumps(job.about)  # raises TypeError if a checkpoint could not be loaded safely
        self.job = job
        self.state = state
        self.interrupt = interrupt
        self.last_save = time.monotonic()

    def save(self, *names: str) -> None:
        """Write last.pt, and the same file under further `names`."""
        job, content = self.job, self.state.state_dict()
        if job.dist.rank == 0:
            facts = {
                "effective_batch": job.samples_per_step,
                "steps_per_epoch": job.steps_per_epoch,
                "config": job.record.config,
                "overrides": list(job.record.overrides),
                "folders": list(job.record.folders),
                "parameter_groups": parameter_groups(job.net, job.optimizer),
                "about": dict(job.about),
            }
            checkpoint.save_last(content | facts, job.run.folder, names)
        self.last_save = time.monotonic()

    def after_step(self) -> None:
        """Save if it is time to, or if any rank was asked to stop: then raise Interrupted."""
        state, dist = self.state, self.job.dist
        epoch_ends = state.step == state.steps_per_epoch
        if dist.world > 1 and not epoch_ends and state.steps_done % STEPS_BETWEEN_AGREEMENTS:
            return
        # One number says both what the ranks must do and, if they must stop, why.
        asked = dist.max(self.interrupt.number or (0.5 if self._is_due() else 0))
        if asked:
            state.meters.check_finite(self.job.run.folder, state.steps_done)
            self.save()
        if asked >= 1:
            self._stop(int(asked))

    def while_validating(self, done: int, total: int) -> None:
        """Show the progress of validation; raise Interrupted if asked to stop."""
        self.job.run.progress(done, total, "validating")
        # Everything is saved, so the ranks need not agree: the others have got the signal too, or
        # are ended with this one.
        if self.interrupt.number:
            self._stop(self.interrupt.number)

    def after_epoch(self, is_best: bool) -> None:
        """Save as `runtime` asks for; is_best: the epoch was validated, with the best score yet."""
        runtime, state = self.job.runtime, self.state
        is_regular = state.epoch % runtime.save_every_epochs == 0
        if not (is_regular or is_best or state.epoch == self.job.schedule.epochs):
            return
        best = [checkpoint.BEST] if is_best and runtime.save_best else []
        numbered = [f"epoch_{state.epoch}.pt"] if runtime.keep and is_regular else []
        self.save(*best, *numbered)
        if numbered and self.job.dist.rank == 0:
            checkpoint.prune(self.job.run.folder, runtime.keep)

    def _is_due(self) -> bool:
        minutes = self.job.runtime.save_every_minutes
        return minutes is not None and (time.monotonic() - self.last_save) / 60 >= minutes

    def _stop(self, number: int) -> NoReturn:
        state = self.state
        self.job.run.warn(
            f"stopped by {Signals(number).name} in epoch {state.epoch + 1} after {state.step} of "
            f"{state.steps_per_epoch} steps; "
            "the state is saved, the same command continues from here"
        )
        raise Interrupted(number)


def resume(job: Job, state: TrainState) -> None:
    """Load what `runtime.resume` asks for into `state`, and let the run begin.

    Its log forgets the rows that come again. Where other values than the checkpoint's were asked
    for, they hold, and a warning lists them. Raises CheckpointError if nothing readable is found or
    the ranks find different files, ValueError if the checkpoint belongs to a run with other steps,
    classes, network or optimizer, or if the folder holds another run. Until then nothing in the
    folder has changed.
    """
    run, metric = job.run, job.metric
    content, aside = _read(job)
    if content is not None:
        _check_same_steps(content, job)
        _check_same_classes(content, job)
        check_fits(content, job)
        state.load_state_dict(content)
    run.accept(
        aside=aside,
        is_finished=state.epoch >= job.schedule.epochs,
        key=metric.key,
        higher_is_better=metric.higher_is_better,
    )
    if content is None:
        run.rewind(0)
        return
    # If validation is next, its row may be there already, from before the run was killed.
    run.rewind(state.steps_done, validated=state.step < state.steps_per_epoch)
    run.info(f"continuing after step {state.steps_done} (epoch {state.epoch + 1})")
    if changed := differences(content, job):
        run.warn(f"from here on with other values than before: {'; '.join(changed)}")


def _read(job: Job) -> tuple[Content | None, bool]:
    """The checkpoint to continue from, None to start from the beginning, and whether the run that
    is in the folder is put aside first.
    """
    how, folder, dist = job.runtime.resume, job.run.folder, job.dist
    same_command, aside = job.record.is_of(folder), False
    if how == "auto":
        content = checkpoint.read_newest(folder, job.run.warn)
    elif how == "never":
        content = _unfinished(job) if same_command else None
        has_only_begun = same_command and not (folder / checkpoint.LAST).exists()
        aside = content is None and not has_only_begun
    else:
        # A run that this command has begun goes on from its own checkpoints.
        own = checkpoint.read_newest(folder, job.run.warn) if same_command else None
        content = own or checkpoint.read(Path(how))
        _check_free(job, same_command)
    found = -1
    if content is not None:
        found = content["epoch"] * content["steps_per_epoch"] + content["step"]
    if dist.max(found) != -dist.max(-found):
        raise CheckpointError(
            f"the ranks do not see the same checkpoint in {folder}; put it on a file system "
            "that all machines share"
        )
    return content, aside


def _unfinished(job: Job) -> Content | None:
    """The newest checkpoint in the folder, unless it is damaged or that of the last epoch."""
    try:
        content = checkpoint.read_newest(job.run.folder, job.run.warn)
    except CheckpointError:
        return None
    return content if content and content["epoch"] < job.schedule.epochs else None


def _check_free(job: Job, same_command: bool) -> None:
    """Raise ValueError if continuing from a file elsewhere would overwrite another run."""
    how, run = job.runtime.resume, job.run
    inside = Path(how).resolve().is_relative_to(run.folder.resolve())
    if run.holds_a_run() and not same_command and not inside:
        raise ValueError(
            f"{run.folder} holds another run, which would be lost by continuing from {how} there: "
            "choose another folder with hydra.run.dir=..."
        )


def _check_same_steps(content: Content, job: Job) -> None:
    """Raise ValueError unless a step of the checkpoint's run is a step of this one."""
    theirs, world = content["effective_batch"], job.dist.world
    if theirs != job.samples_per_step:
        each, rest = divmod(theirs, world)
        fits = (
            f"{theirs} cannot be shared by {world} ranks: use a number of ranks that divides it"
            if rest
            else f"on {world} ranks make schedule.batch_size x schedule.accumulate {each}"
        )
        raise ValueError(
            f"the checkpoint was made with {theirs} samples per step "
            "(schedule.batch_size x schedule.accumulate x ranks), but this run has "
            f"{job.samples_per_step}; {fits}, or start over with runtime.resume=never"
        )
    if content["steps_per_epoch"] != job.steps_per_epoch:
        raise ValueError(
            f"the checkpoint was made with {content['steps_per_epoch']} steps per epoch, this run "
            f"has {job.steps_per_epoch}: keep the data and schedule.max_steps, or start over "
            "with runtime.resume=never"
        )


def _check_same_classes(content: Content, job: Job) -> None:
    """Raise ValueError if the labels of the checkpoint's run had other names or another order."""
    difference = class_difference(_class_names(content.get("about")), _class_names(job.about))
    if difference:
        raise ValueError(
            f"the checkpoint was trained on {difference}: keep the classes of the data, or start "
            "over with runtime.resume=never"
        )


def _class_names(about: object) -> list[str]:
    names = about.get("class_names") if isinstance(about, Mapping) else None
    return [str(name) for name in names] if isinstance(names, list) else []
