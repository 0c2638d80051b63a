"""The training loop, top to bottom.

What a run does at a step is a function of (configuration, step) alone: the samples, their
augmentation, dropout, the learning rate. So a run that was killed anywhere and started again ends
as if nothing had happened.
"""

import itertools
import math
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from vidrec.config.schema import ScheduleConf
from vidrec.data.collate import to_device
from vidrec.data.unreadable import BadVideos
from vidrec.engine.evaluate import autocast, evaluate
from vidrec.engine.job import Batch, Job, Outcome
from vidrec.engine.metric import Metric, Rows
from vidrec.engine.precise_bn import check_batch_norms, precise_bn
from vidrec.engine.preempt import Interrupt
from vidrec.engine.saver import Saver, resume
from vidrec.engine.setup import seed_step
from vidrec.engine.state import TrainState
from vidrec.tracking.run import Run

T = TypeVar("T")


def train(job: Job) -> Outcome:
    """Train for `schedule.epochs` epochs, continuing from the checkpoint in `run.folder` if any.

    Raises Interrupted after saving when the process is asked to stop, FloatingPointError when the
    loss is not finite, CheckpointError when the state cannot be saved or read.
    """
    schedule, run = job.schedule, job.run
    if schedule.precise_bn:
        check_batch_norms(job.net)
    state = TrainState(job)
    resume(job, state)
    run.begin(schedule.epochs, schedule.epochs * state.steps_per_epoch)
    if state.epoch >= schedule.epochs:
        run.info(
            f"this run is finished: {run.folder} holds its {schedule.epochs} epochs; "
            "runtime.resume=never starts it over"
        )
    outcome = Outcome(best=math.nan if state.best is None else state.best)
    with Interrupt() as interrupt:
        saver = Saver(job, state, interrupt)
        while state.epoch < schedule.epochs:
            train_epoch(job, state, saver)
            is_best = False
            if is_validated(state.epoch + 1, schedule):
                saver.save()  # validation may take long: whatever happens in it, the epoch is safe
                scores, rows = validate(job, state, saver)
                score = scores[job.metric.key]
                is_best = improves(score, state.best, job.metric)
                shown = outcome.scores.get(job.metric.key, math.nan)
                if math.isnan(shown) or improves(score, shown, job.metric):
                    outcome.epoch, outcome.scores, outcome.rows = state.epoch + 1, scores, rows
                if is_best:
                    state.best = outcome.best = score
            state.epoch, state.step = state.epoch + 1, 0
            saver.after_epoch(is_best)
    job.dist.barrier()
    return outcome


def train_epoch(job: Job, state: TrainState, saver: Saver) -> None:
    """The steps of an epoch, from `state.step` on.

    Raises RuntimeError if the training data ends before the last step.
    """
    loader, accumulate = job.loaders.train, job.schedule.accumulate
    state.model.train()
    loader.batch_sampler.start(state.epoch, state.step * accumulate)
    groups: Iterator[list[Batch]] = full_groups(loader, accumulate)
    state.meters.start_clock()
    # The range comes first: after its last step no further batch is fetched.
    for i, group in zip(range(state.step, state.steps_per_epoch), groups, strict=False):
        state.meters.batch_arrived()
        seed_step(job.runtime.seed, state.steps_done, job.dist)
        job.lr(state.steps_done)
        report_unreadable(group, job.loaders.bad_train, job.run)
        is_last = i + 1 == state.steps_per_epoch
        logs = (state.steps_done + 1) % job.runtime.log_every == 0 or is_last
        losses, grad_norm = optimizer_step(job, state, group, logs)
        if state.ema:
            state.ema.update(state.steps_done)
        state.meters.add(losses)
        state.step = i + 1
        if logs:
            log_row(job, state, grad_norm)
        job.run.progress(i + 1, state.steps_per_epoch, f"epoch {state.epoch + 1}")
        saver.after_step()
    if state.step < state.steps_per_epoch:
        raise RuntimeError(
            f"the training data ended after {state.step} of {state.steps_per_epoch} steps of epoch "
            f"{state.epoch + 1}"
        )


def optimizer_step(
    job: Job, state: TrainState, micro_batches: list[Batch], logs: bool
) -> tuple[dict[str, Tensor], Tensor]:
    """One step of the optimizer: the micro-batches' mean losses and the norm of the gradient.

    The norm is NaN where nobody asks for it: without clipping, on steps that are not logged.
    Nothing here waits for the device.
    """
    schedule, dist, precision = job.schedule, job.dist, job.runtime.precision
    state.optimizer.zero_grad(set_to_none=True)
    total: dict[str, Tensor] = {}
    for k, batch in enumerate(micro_batches, start=1):
        batch = to_device(batch, dist.device)
        batch = job.mixing(batch) if job.mixing else batch
        # Ranks exchange gradients with the last micro-batch only.
        reduce_now = dist.world == 1 or k == len(micro_batches)
        with nullcontext() if reduce_now else state.model.no_sync():
            with autocast(dist.device, precision):
                losses = job.loss_fn(state.model(batch), batch)
            if len(micro_batches) > 1:
                losses = {name: value / len(micro_batches) for name, value in losses.items()}
            state.scaler.scale(losses["loss"]).backward()
        for name, value in losses.items():
            total[name] = total[name] + value.detach() if name in total else value.detach()
    grad_norm = torch.tensor(math.nan)
    if schedule.clip_norm is not None or logs:
        state.scaler.unscale_(state.optimizer)
        limit = math.inf if schedule.clip_norm is None else schedule.clip_norm
        # From the optimizer: walking the modules of a deep net at every step takes longer.
        parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
        grad_norm = nn.utils.clip_grad_norm_(parameters, limit)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    return total, grad_norm


def log_row(job: Job, state: TrainState, grad_norm: Tensor) -> None:
    """Log the step just done. Waits for the device."""
    row = state.meters.close(job.run.folder, state.steps_done)
    row |= {"lr": state.optimizer.param_groups[0]["lr"], "grad_norm": grad_norm.item()}
    left = job.schedule.epochs * state.steps_per_epoch - state.steps_done
    row["time/eta"] = left * row["time/step"]
    job.run.log(row, epoch=state.epoch + 1, step=state.steps_done)


def validate(job: Job, state: TrainState, saver: Saver) -> tuple[dict[str, float], Rows]:
    """Evaluate and log the averaged network if there is one, else the network: scores and rows."""
    loaders, runtime, dist = job.loaders, job.runtime, job.dist
    judged = state.ema.net if state.ema else state.net
    # Nothing below may depend on whether the run was resumed just here.
    seed_step(runtime.seed, state.steps_done, dist)
    if job.schedule.precise_bn:
        judged.train()
        loaders.train.batch_sampler.start(state.epoch)
        readable = (batch for batch in loaders.train if "index" in batch)
        batches = (to_device(batch, dist.device) for batch in readable)
        with autocast(dist.device, runtime.precision):
            precise_bn(judged, batches, job.schedule.precise_bn, dist)
    dist.broadcast_(list(judged.buffers()))
    scores, rows = evaluate(
        judged,
        job.metric,
        loaders.val,
        runtime,
        dist,
        progress=saver.while_validating,
        bad_videos=loaders.bad_val,
    )
    named = {f"val/{name}": value for name, value in scores.items()}
    job.run.log(named, epoch=state.epoch + 1, step=state.steps_done)
    return scores, rows


def full_groups(batches: Iterable[T], size: int) -> Iterator[list[T]]:
    """The batches in groups of `size`; a shorter last group is dropped."""
    iterator = iter(batches)
    while len(group := list(itertools.islice(iterator, size))) == size:
        yield group


def is_validated(epochs_done: int, schedule: ScheduleConf) -> bool:
    """Whether validation follows this epoch (counted from 1); after the last it always does."""
    if epochs_done == schedule.epochs:
        return True
    return epochs_done >= schedule.val_begin and epochs_done % schedule.val_interval == 0


def improves(value: float, best: float | None, metric: Metric) -> bool:
    """Whether a score is better than the best so far. NaN never is."""
    if math.isnan(value) or best is None:
        return not math.isnan(value)
    return value > best if metric.higher_is_better else value < best


def report_unreadable(group: list[Batch], bad_videos: BadVideos, run: Run) -> None:
    """Take the names of unreadable videos out of the batches, warn about them and count them.

    Raises RuntimeError if a batch has no readable video, or if too many are unreadable.
    """
    for batch in group:
        entries = cast(list[tuple[str, str]], batch.pop("bad_videos", []))
        for line in bad_videos.add(entries):
            run.warn(line, every_rank=True)
        if "index" not in batch:
            raise RuntimeError(
                f"none of the {len(entries)} videos of a batch could be read, the first is "
                f"{entries[0][0] if entries else 'unknown'}; data.on_bad_video=replace takes others"
            )
