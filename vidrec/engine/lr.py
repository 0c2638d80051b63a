"""Learning rates: named phases, chained as in published recipes.

Each phase covers epochs (or steps) [begin, end) and changes the rate it finds, so several may act
at once: a warm-up and steps, or a warm-up and a cosine. Recursive, as MMEngine's schedulers are: a
phase turns the rate of one step into that of the next, whatever other phases did to it in between.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from torch.optim import Optimizer


@dataclass(kw_only=True, frozen=True)
class Phase(ABC):
    """What all phases share: when they act, and in what they count.

    by_epoch: begin, end and other times are epochs; else optimizer steps. convert_to_steps: times
    are given in epochs, but the rate changes at every step; the times of such a phase may be within
    an epoch (end=2.5). end: None for the end of the run.
    """

    begin: float = 0
    end: float | None = None
    by_epoch: bool = True
    convert_to_steps: bool = False

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.begin < 0 or (self.end is not None and self.end <= self.begin):
            raise ValueError(f"{name}: begin={self.begin}, end={self.end} is not 0 <= begin < end")
        if self.convert_to_steps and not self.by_epoch:
            raise ValueError(f"{name}: convert_to_steps needs by_epoch=true")
        parts = [time for time in (self.begin, self.end or 0, *self.moments()) if time % 1]
        if parts and not self.convert_to_steps:
            raise ValueError(f"{name}: {parts[0]} is not a whole number; set convert_to_steps=true")

    @property
    def stepwise(self) -> bool:
        """Whether the rate may change at every step, not only from epoch to epoch."""
        return self.convert_to_steps or not self.by_epoch

    def moments(self) -> Sequence[float]:
        """The times besides `begin` and `end`."""
        return ()

    def times(self) -> Sequence[float]:
        """The times that must come before the end of the run."""
        return (self.begin,)

    def lowest(self) -> float:
        """The rate that the phase goes down to, as an absolute number; 0 if it gives none."""
        return 0.0

    def in_steps(self, steps_per_epoch: int) -> Self:
        """The same phase with all times in steps instead of epochs."""
        begin = in_steps(self.begin, steps_per_epoch)
        # A phase that is over within its first step still has that step.
        end = None if self.end is None else max(in_steps(self.end, steps_per_epoch), begin + 1)
        return replace(self, begin=begin, end=end)

    @abstractmethod
    def advance(self, rate: float, base: float, position: int, length: int) -> float:
        """The rate at `position` (0, 1, ...) of a phase of `length`, from the rate before it.

        base: the initial rate of the optimizer.
        """


def in_steps(time: float, steps_per_epoch: int) -> int:
    """The step that a time in epochs falls into.

    >>> in_steps(2.5, 3), in_steps(0.29, 100)
    (7, 29)
    """
    return math.floor(time * steps_per_epoch + 1e-6)  # 0.29 * 100 is a little less than 29


@dataclass(kw_only=True, frozen=True)
class Linear(Phase):
    """From start_factor to end_factor times the rate, in equal increments over the phase; constant
    afterwards. A phase of a single epoch or step is at its end from the beginning.
    """

    start_factor: float = 1 / 3
    end_factor: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.start_factor <= 1 or not 0 <= self.end_factor <= 1:
            raise ValueError(
                f"Linear: start_factor={self.start_factor} must be in (0, 1], "
                f"end_factor={self.end_factor} in [0, 1]"
            )

    def advance(self, rate: float, base: float, position: int, length: int) -> float:
        if position == 0:
            return rate * (self.start_factor if length > 1 else self.end_factor)
        steps, change = length - 1, self.end_factor - self.start_factor
        if position > steps:
            return rate
        return rate * (1 + change / (steps * self.start_factor + (position - 1) * change))


@dataclass(kw_only=True, frozen=True)
class Constant(Phase):
    """`factor` times the rate, but for the last epoch or step of the phase."""

    factor: float = 1 / 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.factor <= 1:
            raise ValueError(f"Constant: factor={self.factor} is outside (0, 1]")

    def advance(self, rate: float, base: float, position: int, length: int) -> float:
        if length == 1:
            return rate
        if position == 0:
            return rate * self.factor
        return rate / self.factor if position == length - 1 else rate


@dataclass(kw_only=True, frozen=True)
class MultiStep(Phase):
    """The rate is multiplied by gamma at each milestone."""

    milestones: Sequence[float]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        milestones = list(self.milestones)
        if milestones != sorted(milestones) or min(milestones, default=1) <= 0:
            raise ValueError(
                f"MultiStep: milestones={milestones} must be positive and in ascending order"
            )

    def moments(self) -> Sequence[float]:
        return self.milestones

    def times(self) -> Sequence[float]:
        return (self.begin, *self.milestones)

    def in_steps(self, steps_per_epoch: int) -> Self:
        milestones = [max(1, in_steps(time, steps_per_epoch)) for time in self.milestones]
        return replace(super().in_steps(steps_per_epoch), milestones=milestones)

    def advance(self, rate: float, base: float, position: int, length: int) -> float:
        return rate * self.gamma ** self.milestones.count(position)


@dataclass(kw_only=True, frozen=True)
class Step(Phase):
    """The rate is multiplied by gamma every step_size."""

    step_size: float
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step_size <= 0:
            raise ValueError(f"Step: step_size={self.step_size} is not positive")

    def moments(self) -> Sequence[float]:
        return (self.step_size,)

    def in_steps(self, steps_per_epoch: int) -> Self:
        step_size = max(1, in_steps(self.step_size, steps_per_epoch))
        return replace(super().in_steps(steps_per_epoch), step_size=step_size)

    def advance(self, rate: float, base: float, position: int, length: int) -> float:
        return rate * self.gamma if position and position % self.step_size == 0 else rate


@dataclass(kw_only=True, frozen=True)
class Exponential(Phase):
    """The rate is multiplied by gamma every epoch (or step)."""

    gamma: float

    def in_steps(self, steps_per_epoch: int) -> Self:
        gamma = self.gamma ** (1 / steps_per_epoch)
        return replace(super().in_steps(steps_per_epoch), gamma=gamma)

    def advance(self, rate: float, base: float, position: int, length: int) -> float:
        return rate * self.gamma if position else rate


@dataclass(kw_only=True, frozen=True)
class Cosine(Phase):
    """Half a cosine down to eta_min, or to eta_min_ratio times the initial rate of the optimizer
    (Loshchilov and Hutter, ICLR 2017, eq. 5).

    T_max: length of the half wave; None: the length of the phase.
    """

    T_max: float | None = None
    eta_min: float = 0.0
    eta_min_ratio: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.T_max is not None and self.T_max <= 0:
            raise ValueError(f"Cosine: T_max={self.T_max} is not positive")
        if self.eta_min_ratio is not None and not 0 <= self.eta_min_ratio <= 1:
            raise ValueError(f"Cosine: eta_min_ratio={self.eta_min_ratio} is outside [0, 1]")

    def lowest(self) -> float:
        return self.eta_min if self.eta_min_ratio is None else 0.0

    def moments(self) -> Sequence[float]:
        return () if self.T_max is None else (self.T_max,)

    def in_steps(self, steps_per_epoch: int) -> Self:
        phase = super().in_steps(steps_per_epoch)
        if self.T_max is None:
            return phase
        # From the first step to that of the bottom, so that both are where `end` would be.
        bottom = in_steps(self.begin + self.T_max, steps_per_epoch)
        return replace(phase, T_max=max(1, bottom - int(phase.begin)))

    def advance(self, rate: float, base: float, position: int, length: int) -> float:
        half = self.T_max or length
        low = self.lowest() if self.eta_min_ratio is None else base * self.eta_min_ratio
        if position == 0:
            return rate
        if (position - 1 - half) % (2 * half) == 0:  # turning up again, from the bottom
            return rate + (base - low) * (1 - math.cos(math.pi / half)) / 2
        ratio = (1 + math.cos(math.pi * position / half)) / (
            1 + math.cos(math.pi * (position - 1) / half)
        )
        return ratio * (rate - low) + low


@dataclass(kw_only=True, frozen=True)
class Poly(Phase):
    """Down to eta_min as a power of the remaining time."""

    power: float = 1.0
    eta_min: float = 0.0

    def lowest(self) -> float:
        return self.eta_min

    def advance(self, rate: float, base: float, position: int, length: int) -> float:
        if position == 0:
            return rate
        left = (1 - 1 / (length - position)) ** self.power
        return (rate - self.eta_min) * left + self.eta_min


class LearningRate:
    """The phases of a run; sets the rate of every parameter group before each step.

    The rate of a step is a function of the steps before it alone, so that `start` can replay them
    for a run that resumes.
    """

    def __init__(
        self,
        phases: Mapping[str, Phase],
        optimizer: Optimizer,
        steps_per_epoch: int,
        num_epochs: int,
    ) -> None:
        self.steps_per_epoch = steps_per_epoch
        self.optimizer = optimizer
        self.bases = [float(group["lr"]) for group in optimizer.param_groups]
        self.rates = list(self.bases)
        self.step = -1
        self.phases: list[Phase] = []
        for name, phase in phases.items():
            last = num_epochs if phase.by_epoch else num_epochs * steps_per_epoch
            if late := [time for time in phase.times() if time >= last]:
                raise ValueError(
                    f"schedule.lr.{name}: {late} is not before the end of the run at {last}"
                )
            phase = replace(phase, end=last) if phase.end is None else phase
            if phase.end is not None and phase.end > last:
                raise ValueError(
                    f"schedule.lr.{name}: end={phase.end:g} is past the end of the run at {last}"
                )
            if phase.lowest() > min(self.bases):
                raise ValueError(
                    f"schedule.lr.{name}: eta_min={phase.lowest():g} is above the rate of a group "
                    f"of parameters, {min(self.bases):g}, which would rise: lower it, or write "
                    "eta_min_ratio, a fraction of the rate of each group"
                )
            self.phases.append(phase.in_steps(steps_per_epoch) if phase.convert_to_steps else phase)
        # At a new epoch phases that count steps have moved on already when those that count epochs
        # do.
        self._in_order = sorted(self.phases, key=lambda phase: not phase.stepwise)

    def start(self, step: int) -> None:
        """Set the rates of `step`, counted from 0 over the whole run."""
        self.rates, self.step = list(self.bases), -1
        while self.step < step:
            self._advance()
        self._set()

    def __call__(self, step: int) -> None:
        """Set the rates of the step after the last one set, or of any other, from the beginning."""
        if step == self.step + 1:
            self._advance()
            self._set()
        elif step != self.step:
            self.start(step)

    def _advance(self) -> None:
        self.step += 1
        epoch, within = divmod(self.step, self.steps_per_epoch)
        for phase in self._in_order if self.step else self.phases:
            if within and not phase.stepwise:
                continue
            now = self.step if phase.stepwise else epoch
            assert phase.end is not None
            if phase.begin <= now < phase.end:
                self.rates = [
                    phase.advance(
                        rate, base, now - int(phase.begin), int(phase.end) - int(phase.begin)
                    )
                    for rate, base in zip(self.rates, self.bases, strict=True)
                ]

    def _set(self) -> None:
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate
