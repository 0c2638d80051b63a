"""Schedules of another length: times given in epochs keep their proportion to the run."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from omegaconf import DictConfig, ListConfig, Node, OmegaConf, open_dict

from vidrec.config.contributions import Contribution, KeyPath

EPOCHS = ("schedule", "epochs")

# Arguments of the phases in `vidrec.engine.lr` that are times, a list of times among them.
_TIMES = ("begin", "end", "T_max", "step_size", "milestones")
_LR = "vidrec.engine.lr."
# Phases that are constant but for single moments; the others change gradually.
_ABRUPT = (f"{_LR}MultiStep", f"{_LR}Step", f"{_LR}Constant")


def stretch(cfg: DictConfig, given: Sequence[Contribution]) -> list[str]:
    """Where the command line sets `schedule.epochs`, move all times that it does not set; in place.

    given: all that `cfg` was merged from. Returns a sentence that says what was moved, or nothing.
    A file's own `schedule.epochs` moves nothing: it writes its times beside it.
    """
    published = _last(given, is_override=False)
    wanted = _last(given, is_override=True)
    if published is None or wanted is None or published == wanted or min(published, wanted) < 1:
        return []
    ratio = Fraction(wanted, published)
    own = {path for item in given if item.is_override for path in item.leaves()}
    schedule = cfg.schedule
    with open_dict(schedule):
        moved = [*_phases(schedule, ratio, own), *_validation(schedule, ratio, own)]
    if not moved:
        return []
    return [f"schedule.epochs={wanted} instead of {published}: {', '.join(moved)}"]


def _last(given: Sequence[Contribution], *, is_override: bool) -> int | None:
    """The last number of epochs that the files, or the command line, give."""
    values = [
        value
        for item in given
        if item.is_override == is_override
        for path, value in item.nodes()
        if path == EPOCHS
    ]
    is_number = bool(values) and isinstance(values[-1], int) and not isinstance(values[-1], bool)
    return int(values[-1]) if is_number else None  # type: ignore[call-overload]


def _phases(schedule: DictConfig, ratio: Fraction, own: set[KeyPath]) -> Iterator[str]:
    """Move the times of the phases of the learning rate; yields what was moved."""
    lr = schedule._get_node("lr")
    if not isinstance(lr, DictConfig) or lr._is_none() or lr._is_interpolation():
        return
    for name in map(str, lr):
        phase = lr._get_node(name)
        if isinstance(phase, DictConfig) and not (phase._is_none() or phase._is_interpolation()):
            yield from _phase(phase, name, ratio, own)


def _phase(phase: DictConfig, name: str, ratio: Fraction, own: set[KeyPath]) -> Iterator[str]:
    where = f"schedule.lr.{name}"
    if _plain(phase, "by_epoch") is False:
        yield f"{where} counts steps and stays"
        return

    def free(key: str) -> bool:
        return ("schedule", "lr", name, key) not in own

    keys = [key for key in _TIMES if free(key) and _plain(phase, key) is not None]
    moved = {key: _moved(_plain(phase, key), ratio) for key in keys}
    is_abrupt = _plain(phase, "_target_") in _ABRUPT
    in_whole = all(isinstance(time, int) for value in moved.values() for time in _listed(value))
    by_step = _plain(phase, "convert_to_steps") is True
    # Stairs of an epoch's width would be coarser than those of the recipe.
    if not by_step and not (in_whole and (is_abrupt or ratio > 1)):
        if free("convert_to_steps"):
            phase["convert_to_steps"] = True
            yield f"{where} changes at every step"
        else:
            moved = {key: _whole(value, key) for key, value in moved.items()}
    for key, value in moved.items():
        before = _plain(phase, key)
        if value != before:
            phase[key] = value
            yield f"{where}.{key} {_shown(before)} -> {_shown(value)}"
    is_power = _plain(phase, "_target_") == f"{_LR}Exponential" and free("gamma")
    if is_power and isinstance(gamma := _plain(phase, "gamma"), int | float):
        phase["gamma"] = float(gamma) ** float(1 / ratio)
        yield f"{where}.gamma {_shown(gamma)} -> {_shown(phase['gamma'])}"


def _validation(schedule: DictConfig, ratio: Fraction, own: set[KeyPath]) -> Iterator[str]:
    """Move the times of validation; every epoch stays every epoch."""
    for key in ("val_begin", "val_interval"):
        before = _plain(schedule, key)
        if isinstance(before, int) and before > 1 and ("schedule", key) not in own:
            schedule[key] = max(1, round(before * ratio))
            if schedule[key] != before:
                yield f"schedule.{key} {before} -> {schedule[key]}"


def _plain(node: DictConfig, key: str) -> object:
    """A value as it is written; None for a reference, which follows by itself, or for nothing."""
    child = node._get_node(key)
    if not isinstance(child, Node) or child._is_interpolation() or child._is_missing():
        return None
    return OmegaConf.to_container(child) if isinstance(child, ListConfig) else child._value()


def _moved(value: object, ratio: Fraction) -> object:
    """A time, or a list of times, in proportion: whole where it can be."""
    if isinstance(value, list):
        return [_moved(item, ratio) for item in value]
    if not isinstance(value, int | float) or isinstance(value, bool):
        return value
    exact = Fraction(str(value)) * ratio
    return int(exact) if exact.denominator == 1 else float(exact)


def _whole(value: object, key: str) -> object:
    """A time, or a list of times, to the nearest epoch: at least the first, but for beginnings."""
    if isinstance(value, list):
        return [_whole(item, key) for item in value]
    if not isinstance(value, int | float):
        return value
    return max(0 if key == "begin" else 1, round(value))


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _shown(value: object) -> str:
    """`40, 80` for [40, 80]; four digits of what is not whole."""
    return ", ".join(
        f"{item:.4g}" if isinstance(item, float) else str(item) for item in _listed(value)
    )
