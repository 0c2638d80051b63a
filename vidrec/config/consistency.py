"""Values of shared keys that are right alone and wrong together; task_checks has the others."""

from collections.abc import Iterator, Mapping
from typing import Any

from vidrec.config.schema import EvaluateConf, RuntimeConf, ScheduleConf, TrainConf
from vidrec.errors import did_you_mean


def problems(conf: TrainConf) -> Iterator[str]:
    """What does not fit in any task."""
    yield from _learning_rate(conf.schedule)
    yield from _devices_and_workers(conf.runtime)
    if conf.schedule.mixing is not None and "_target_" not in conf.schedule.mixing:
        yield "schedule.mixing is not chosen: choose schedule/mixing=mixup, or leave it null"
    if isinstance(conf, EvaluateConf):
        yield from _fusion(conf)


def _learning_rate(schedule: ScheduleConf) -> Iterator[str]:
    """Phases and validations that would begin after the last epoch."""
    epochs = schedule.epochs
    for name, phase in schedule.lr.items():
        if isinstance(phase, Mapping) and phase.get("by_epoch", True):
            yield from _phase(f"schedule.lr.{name}", phase, epochs)
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


def _devices_and_workers(runtime: RuntimeConf) -> Iterator[str]:
    device = runtime.device.split(":")[0]
    if device not in ("auto", "cpu", "cuda"):
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
