"""Values of shared keys that are right alone and wrong together; task_checks has the others."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from vidrec.config.schema import EvaluateConf, RuntimeConf, ScheduleConf, TrainConf
from vidrec.errors import did_you_mean


def problems(conf: TrainConf) -> Iterator[str]:
    """What does not fit in any task."""
    yield from _learning_rate(conf.schedule)
    yield from _devices_and_workers(conf.runtime)
    if isinstance(conf, EvaluateConf):
        yield from _fusion(conf)


def _learning_rate(schedule: ScheduleConf) -> Iterator[str]:
    """Phases and validations that do not fit the length of the run, and rates that would rise."""
    epochs = schedule.epochs
    phases = {name: phase for name, phase in schedule.lr.items() if isinstance(phase, Mapping)}
    for name, phase in phases.items():
        path = f"schedule.lr.{name}"
        if phase.get("by_epoch", True):
            yield from _phase(path, phase, epochs)
            ends = [other.get("end") or epochs for other in phases.values()]
            yield from _wave(path, phase, epochs, is_last=(phase.get("end") or epochs) == max(ends))
        lowest = phase.get("eta_min") if phase.get("eta_min_ratio") is None else None
        # With schedule.scale_lr the rate is known when the ranks are.
        if lowest and lowest > schedule.optimizer["lr"] and not schedule.scale_lr:
            yield (
                f"{path}.eta_min={lowest:g} is above schedule.optimizer.lr="
                f"{schedule.optimizer['lr']:g}, so the rate would rise: lower it, or write "
                f"{path}.eta_min_ratio, a fraction of the rate"
            )
    if schedule.val_begin > epochs:
        yield (
            f"schedule.val_begin={schedule.val_begin} is past the last epoch, "
            f"schedule.epochs={epochs}"
        )


def _phase(path: str, phase: Mapping[str, Any], epochs: int) -> Iterator[str]:
    late = [milestone for milestone in phase.get("milestones") or [] if milestone >= epochs]
    if late:
        yield f"{path}.milestones: {late} is not before the end at schedule.epochs={epochs}"
    begin = phase.get("begin") or 0
    if begin >= epochs:
        yield f"{path}.begin={begin} is not before schedule.epochs={epochs}"
    if (phase.get("end") or 0) > epochs:
        yield (
            f"{path}.end={phase['end']} is past schedule.epochs={epochs}, so the phase would be "
            "cut off: shorten it"
        )


def _wave(path: str, phase: Mapping[str, Any], epochs: int, is_last: bool) -> Iterator[str]:
    """A cosine or polynomial, which is meant to end with the run.

    Some published recipes stop a longer wave: they write its `end`.
    """
    if phase.get("_target_") not in ("vidrec.engine.lr.Cosine", "vidrec.engine.lr.Poly"):
        return
    begin, end, half = phase.get("begin") or 0, phase.get("end"), phase.get("T_max")
    if end is None and half is not None and not math.isclose(begin + half, epochs):
        turns = "turns up again" if begin + half < epochs else "is not over"
        yield (
            f"{path}.T_max={half}: half a wave from epoch {begin} {turns} at "
            f"schedule.epochs={epochs}: write {path}.T_max={epochs - begin}, or "
            f"{path}.end={epochs} too if that is meant"
        )
    elif end is not None and is_last and end < epochs:
        yield (
            f"{path}.end={end}: the rate would stay at its lowest until schedule.epochs={epochs}: "
            f"write {path}.end={epochs}{'' if half is None else f' {path}.T_max={epochs - begin}'}"
        )


def _devices_and_workers(runtime: RuntimeConf) -> Iterator[str]:
    device = runtime.device.split(":")[0]
    if device in ("gpu", "nvidia") or device.isdigit():
        yield (
            f"runtime.device={runtime.device}: write runtime.device=cuda; CUDA_VISIBLE_DEVICES "
            "before the command chooses a GPU"
        )
    elif device not in ("auto", "cpu", "cuda"):
        yield f"runtime.device='{runtime.device}'; {did_you_mean(device, ['auto', 'cpu', 'cuda'])}"
    if runtime.persistent_workers and runtime.num_workers == 0:
        yield (
            "runtime.persistent_workers=true needs runtime.num_workers > 0: "
            "leave persistent_workers null, or ask for workers"
        )


def _fusion(conf: EvaluateConf) -> Iterator[str]:
    if conf.score_weights and len(conf.score_weights) != len(conf.score):
        yield (
            f"score_weights has {len(conf.score_weights)} values for the {len(conf.score)} "
            "files in score"
        )
