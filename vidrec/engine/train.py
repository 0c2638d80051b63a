"""The training loop, top to bottom.

What a run does at a step is a function of (configuration, step) alone: the samples, their
augmentation, dropout, the learning rate. So a run that was killed anywhere and started again ends
as if nothing had happened.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from typing import Any, NoReturn, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vidrec.config.schema import Precision, RuntimeConf, ScheduleConf
from vidrec.data.collate import to_device
from vidrec.data.transforms.mixing import Mix
from vidrec.data.unreadable import BadVideos
from vidrec.engine import checkpoint
from vidrec.engine.checkpoint import CheckpointError
from vidrec.engine.distributed import Distributed
from vidrec.engine.ema import EMA
from vidrec.engine.evaluate import Metric, autocast, evaluate
from vidrec.engine.lr import LearningRate
from vidrec.engine.meters import Meters
from vidrec.engine.precise_bn import precise_bn
from vidrec.engine.preempt import Interrupt, Interrupted
from vidrec.engine.setup import seed_step
from vidrec.tracking.run import Run

LossFunction = Callable[[dict[str, Tensor], dict[str, Any]], dict[str, Tensor]]

# Ranks agree on stopping by talking to each other, which costs more than a look at a flag.
STEPS_BETWEEN_AGREEMENTS = 5


class Loaders(Protocol):
    train: Any  # its batch_sampler has start(epoch, first_batch)
    val: Any
    bad_train: BadVideos
    bad_val: BadVideos


@dataclass
class Outcome:
    """What training came to."""

    best: float  # the best value of metric.key
    scores: dict[str, float]  # of the last validation, if there was one since the start
    rows: dict[str, np.ndarray] = field(default_factory=dict)  # its predictions


@dataclass
class Progress:
    """How far a run is: `step` steps of `epoch` (from 0) are done; step = all of them: validation
    is next.
    """

    epoch: int = 0
    step: int = 0
    best: float | None = None


def train(
    net: nn.Module,
    loss_fn: LossFunction,
    metric: Metric,
    optimizer: Optimizer,
    lr: LearningRate,
    loaders: Loaders,
    schedule: ScheduleConf,
    runtime: RuntimeConf,
    run: Run,
    dist: Distributed,
    config_text: str = "",
    mixing: Mix | None = None,
) -> Outcome:
    """Train `net`, on `dist.device` already, for `schedule.epochs`, continuing what is in
    `run.folder`.

    Raises Interrupted after saving when the process is asked to stop, FloatingPointError when the
    loss is no longer a number, CheckpointError when the state cannot be saved or read.
    """
    model: Any = dist.wrap(net)
    model = torch.compile(model) if runtime.compile else model
    ema = EMA(net, schedule.ema) if schedule.ema else None
    scaler = torch.amp.GradScaler(dist.device.type, enabled=runtime.precision == Precision.fp16)
    steps = steps_per_epoch(len(loaders.train), schedule)
    window = Meters(dist)
    state: dict[str, Any] = {"net": net, "optimizer": optimizer, "scaler": scaler} | (
        {"ema": ema} if ema else {}
    )
    facts = {
        "effective_batch": schedule.effective_batch(dist.world),
        "steps_per_epoch": steps,
        "config": config_text,
    }
    at = resume(state, facts, window, runtime, run, dist)
    run.begin(schedule.epochs, schedule.epochs * steps)
    if at.epoch >= schedule.epochs:
        run.info(
            f"this run is finished: {run.folder} holds its {schedule.epochs} epochs; "
            "runtime.resume=never starts it over"
        )
    outcome = Outcome(best=math.nan if at.best is None else at.best, scores={})

    def stop(number: int) -> NoReturn:
        run.warn(
            f"stopped by {Signals(number).name} in epoch {at.epoch + 1} after {at.step} of {steps} "
            "steps; "
            "the state is saved, the same command continues from here"
        )
        raise Interrupted(number)

    def validating(done: int, total: int) -> None:
        run.progress(done, total, "validating")
        # Saved already, so no need to agree: the other ranks have got the signal too, or are ended
        # with this one.
        if interrupt.number:
            stop(interrupt.number)

    def save(*names: str) -> None:
        window_rows = dist.gather({"window": window.values()})["window"]
        if dist.rank == 0:
            states = {name: part.state_dict() for name, part in state.items()}
            window_state = {"names": window.names, "rows": torch.from_numpy(window_rows)}
            position = {"epoch": at.epoch, "step": at.step, "best": at.best}
            checkpoint.save_last(
                {**states, **facts, **position, "window": window_state}, run.folder, names
            )

    with Interrupt() as interrupt:
        last_save = time.monotonic()
        while at.epoch < schedule.epochs:
            model.train()
            loaders.train.batch_sampler.start(at.epoch, at.step * schedule.accumulate)
            groups = full_groups(loaders.train, schedule.accumulate)
            window.start_clock()
            # The range comes first: after its last step no further batch is fetched.
            for i, group in zip(range(at.step, steps), groups, strict=False):
                window.waited()
                step = at.epoch * steps + i
                seed_step(runtime.seed, step, dist)
                lr(step)
                count_bad(group, loaders.bad_train, run)
                logs = (step + 1) % runtime.log_every == 0 or i + 1 == steps
                losses, grad_norm = optimizer_step(
                    model, loss_fn, optimizer, scaler, group, schedule, runtime, dist, logs, mixing
                )
                if ema:
                    ema.update()
                window.add(losses)
                at.step = i + 1
                if logs:
                    row = window.close(run.folder, step + 1, schedule, dist)
                    assert grad_norm is not None
                    row |= {"lr": optimizer.param_groups[0]["lr"], "grad_norm": grad_norm.item()}
                    left = schedule.epochs * steps - step - 1
                    run.log(
                        row | {"time/eta": left * row["time/step"]},
                        epoch=at.epoch + 1,
                        step=step + 1,
                    )
                run.progress(i + 1, steps, f"epoch {at.epoch + 1}")
                if dist.world == 1 or (step + 1) % STEPS_BETWEEN_AGREEMENTS == 0 or i + 1 == steps:
                    minutes = (time.monotonic() - last_save) / 60
                    due = (
                        runtime.save_every_minutes is not None
                        and minutes >= runtime.save_every_minutes
                    )
                    # One number says both what the ranks must do and, if they must stop, why.
                    asked = dist.max(interrupt.number or (0.5 if due else 0))
                    if asked:
                        window.check_finite(run.folder, step + 1)
                        save()
                        last_save = time.monotonic()
                    if asked >= 1:
                        stop(int(asked))
            if at.step < steps:
                raise RuntimeError(
                    f"the training data ended after {at.step} of {steps} steps of epoch "
                    f"{at.epoch + 1}"
                )
            epochs_done = at.epoch + 1
            is_best = False
            if is_validated(epochs_done, schedule):
                save()  # validation may take long: whatever happens in it, the epoch is safe
                judged = ema.net if ema else net
                # Nothing below may depend on whether the run was resumed just here.
                seed_step(runtime.seed, epochs_done * steps, dist)
                if schedule.precise_bn:
                    judged.train()
                    loaders.train.batch_sampler.start(at.epoch)
                    fresh = (
                        to_device(batch, dist.device) for batch in loaders.train if "video" in batch
                    )
                    with autocast(dist.device, runtime.precision):
                        precise_bn(judged, fresh, schedule.precise_bn, dist)
                dist.broadcast_(list(judged.buffers()))
                outcome.scores, outcome.rows = evaluate(
                    judged,
                    metric,
                    loaders.val,
                    runtime,
                    dist,
                    progress=validating,
                    bad_videos=loaders.bad_val,
                )
                scores = {f"val/{name}": value for name, value in outcome.scores.items()}
                run.log(scores, epoch=epochs_done, step=epochs_done * steps)
                is_best = improves(outcome.scores[metric.key], at.best, metric)
                if is_best:
                    at.best = outcome.best = outcome.scores[metric.key]
            at.epoch, at.step = epochs_done, 0
            finished = at.epoch == schedule.epochs
            if finished or is_best or at.epoch % runtime.save_every_epochs == 0:
                numbered = runtime.keep and at.epoch % runtime.save_every_epochs == 0
                names = [checkpoint.BEST] if is_best and runtime.save_best else []
                save(*names, *([f"epoch_{at.epoch}.pt"] if numbered else []))
                last_save = time.monotonic()
                if numbered and dist.rank == 0:
                    checkpoint.prune(run.folder, runtime.keep)
    dist.barrier()
    return outcome


def optimizer_step(
    model: nn.Module,
    loss_fn: LossFunction,
    optimizer: Optimizer,
    scaler: torch.amp.GradScaler,
    micro_batches: list[dict[str, Any]],
    schedule: ScheduleConf,
    runtime: RuntimeConf,
    dist: Distributed,
    logs: bool,
    mixing: Mix | None,
) -> tuple[dict[str, Tensor], Tensor | None]:
    """One step of the optimizer: the micro-batches' mean losses and the norm of the gradient.

    The norm is None where nobody asks for it: without clipping, off the log lines. Nothing here
    waits for the device.
    """
    optimizer.zero_grad(set_to_none=True)
    total: dict[str, Tensor] = {}
    for k, batch in enumerate(micro_batches, start=1):
        batch = to_device(batch, dist.device)
        batch = mixing(batch) if mixing else batch
        # Ranks exchange gradients with the last micro-batch only.
        reduce_now = dist.world == 1 or k == len(micro_batches)
        with nullcontext() if reduce_now else model.no_sync():  # type: ignore[operator]
            with autocast(dist.device, runtime.precision):
                losses = loss_fn(model(batch), batch)
            if len(micro_batches) > 1:
                losses = {name: value / len(micro_batches) for name, value in losses.items()}
            scaler.scale(losses["loss"]).backward()
        for name, value in losses.items():
            total[name] = total[name] + value.detach() if name in total else value.detach()
    grad_norm = None
    if schedule.clip_norm is not None or logs:
        scaler.unscale_(optimizer)
        limit = math.inf if schedule.clip_norm is None else schedule.clip_norm
        # From the optimizer: walking the modules of a deep net at every step takes longer.
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        grad_norm = nn.utils.clip_grad_norm_(parameters, limit)
    scaler.step(optimizer)
    scaler.update()
    return total, grad_norm


def resume(
    state: dict[str, Any],
    facts: dict[str, Any],
    window: Meters,
    runtime: RuntimeConf,
    run: Run,
    dist: Distributed,
) -> Progress:
    """Load what `runtime.resume` asks for into `state` and `window`; where the run goes on from."""
    if runtime.resume == "never":
        run.rewind(0)
        return Progress()
    if runtime.resume == "auto":
        content = checkpoint.read_newest(run.folder, run.warn)
    else:
        content = checkpoint.read(Path(runtime.resume))
    found = (
        -1 if content is None else content["epoch"] * content["steps_per_epoch"] + content["step"]
    )
    if dist.max(found) != -dist.max(-found):
        raise CheckpointError(
            f"the ranks do not see the same checkpoint in {run.folder}; put it on a file system "
            "that all machines share"
        )
    if content is None:
        run.rewind(0)
        return Progress()
    if content["effective_batch"] != facts["effective_batch"]:
        each, rest = divmod(content["effective_batch"], dist.world)
        fits = (
            f"{content['effective_batch']} cannot be shared by {dist.world} ranks: use a number of "
            "ranks that divides it"
            if rest
            else f"on {dist.world} ranks make schedule.batch_size x schedule.accumulate {each}"
        )
        raise ValueError(
            f"the checkpoint was made with {content['effective_batch']} samples a step "
            "(schedule.batch_size x schedule.accumulate x ranks), this run has "
            f"{facts['effective_batch']}; {fits}, or start over with runtime.resume=never"
        )
    if content["steps_per_epoch"] != facts["steps_per_epoch"]:
        raise ValueError(
            f"the checkpoint was made with {content['steps_per_epoch']} steps an epoch, this run "
            f"has {facts['steps_per_epoch']}: keep the data and schedule.max_steps, or start over "
            "with runtime.resume=never"
        )
    if ("ema" in content) != ("ema" in state):
        raise ValueError(
            "the checkpoint and this run differ in schedule.ema: keep it, or use model.weights"
        )
    for name, part in state.items():
        part.load_state_dict(content[name])
    rows = content["window"]["rows"].numpy()
    same_ranks = len(rows) == dist.world
    window.load(content["window"]["names"], rows[dist.rank] if same_ranks else rows.mean(axis=0))
    at = Progress(content["epoch"], content["step"], content["best"])
    step = at.epoch * facts["steps_per_epoch"] + at.step
    # Where validation is next its row may be there already, from before the end came.
    run.rewind(step, validated=at.step < facts["steps_per_epoch"])
    run.info(f"continuing after step {step} (epoch {at.epoch + 1})")
    return at


def full_groups(batches: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """The batches in groups of `size`; a shorter last one is left out."""
    iterator = iter(batches)
    while len(group := list(itertools.islice(iterator, size))) == size:
        yield group


def steps_per_epoch(num_batches: int, schedule: ScheduleConf) -> int:
    """Optimizer steps of an epoch. ValueError where there is none."""
    steps = num_batches // schedule.accumulate
    if steps == 0:
        raise ValueError(
            f"an epoch has {num_batches} batches, fewer than "
            f"schedule.accumulate={schedule.accumulate}; "
            "accumulate less, or use smaller batches"
        )
    return min(steps, schedule.max_steps) if schedule.max_steps else steps


def is_validated(epochs_done: int, schedule: ScheduleConf) -> bool:
    """Whether validation follows this epoch (counted from 1); after the last it always does."""
    if epochs_done == schedule.epochs:
        return True
    return epochs_done >= schedule.val_begin and epochs_done % schedule.val_interval == 0


def improves(value: float, best: float | None, metric: Metric) -> bool:
    if math.isnan(value) or best is None:
        return not math.isnan(value)
    return value > best if metric.higher_is_better else value < best


def count_bad(group: list[dict[str, Any]], bad_videos: BadVideos, run: Run) -> None:
    """Take the unreadable files out of the batches and say them; an error where a batch has
    nothing else.
    """
    for batch in group:
        entries = batch.pop("bad_videos", None)
        if entries:
            for line in bad_videos.add(entries):
                run.warn(line, every_rank=True)
        if "index" not in batch:
            raise RuntimeError(
                f"none of the {len(entries or [])} videos of a batch could be read, the first is "
                f"{entries[0][0] if entries else 'unknown'}; data.on_bad_video=replace takes others"
            )
