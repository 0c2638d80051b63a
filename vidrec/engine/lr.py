"""Learning rates: named phases, chained as in published recipes.

Each phase covers epochs (or steps) [begin, end) and changes the rate it finds, so several may act
at once: a warm-up and steps, or a warm-up and a cosine. Recursive, as MMEngine's schedulers are: a
phase turns the rate of one step into that of the next, whatever other phases did to it in between.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch.optim import Optimizer


class Phase(ABC):
    """What all phases share: where they are, and in what they count.

    by_epoch: begin, end and other times are epochs; else steps. convert_to_steps: given in epochs,
    carried out at every step; such a phase may end within an epoch (end=2.5).
    """

    def __init__(
        self, begin: int, end: float | None, by_epoch: bool, convert_to_steps: bool
    ) -> None:
        name = type(self).__name__
        if begin < 0 or (end is not None and end <= begin):
            raise ValueError(f"{name}: begin={begin}, end={end} is not 0 <= begin < end")
        if convert_to_steps and not by_epoch:
            raise ValueError(f"{name}: convert_to_steps needs by_epoch=true")
        if end is not None and end % 1 and not convert_to_steps:
            raise ValueError(f"{name}: end={end} is not a whole number; set convert_to_steps=true")
        self.begin = begin
        self.end = end
        self.by_epoch = by_epoch
        self.convert_to_steps = convert_to_steps
        self.stepwise = convert_to_steps or not by_epoch

    @abstractmethod
    def advance(self, rate: float, base: float, position: int, length: int) -> float:
        """The rate at `position` (0, 1, ...) of a phase of `length`, from that before it.

        base: the rate that the optimizer was made with.
        """

    def in_steps(self, steps_per_epoch: int) -> None:
        """Turn times in epochs into steps."""
        self.begin *= steps_per_epoch
        self.end = None if self.end is None else int(self.end * steps_per_epoch)


class Linear(Phase):
    """From start_factor to end_factor of the rate, in equal increments over the phase; then it
    stays.
    """

    def __init__(
        self,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        begin: int = 0,
        end: float | None = None,
        by_epoch: bool = True,
        convert_to_steps: bool = False,
    ) -> None:
        super().__init__(begin, end, by_epoch, convert_to_steps)
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ValueError(
                f"Linear: start_factor={start_factor} must be in (0, 1], end_factor={end_factor} "
                "in [0, 1]"
            )
        self.start_factor = start_factor
        self.end_factor = end_factor

    def advance(self, rate: float, base: float, position: int, length: int) -> float:
        if position == 0:
            return rate * self.start_factor
        steps, change = length - 1, self.end_factor - self.start_factor
        if position > steps:
            return rate
        return rate * (1 + change / (steps * self.start_factor + (position - 1) * change))


class Constant(Phase):
    """`factor` of the rate until the end of the phase."""

    def __init__(
        self,
        factor: float = 1 / 3,
        begin: int = 0,
        end: float | None = None,
        by_epoch: bool = True,
        convert_to_steps: bool = False,
    ) -> None:
        super().__init__(begin, end, by_epoch, convert_to_steps)
        if not 0 < factor <= 1:
            raise ValueError(f"Constant: factor={factor} is outside (0, 1]")
        self.factor = factor

    def advance(self, rate: float, base: float, position: int, length: int) -> float:
        if position == 0:
            return rate * self.factor
        return rate / self.factor if position == length - 1 else rate


class MultiStep(Phase):
    """Times gamma at each milestone."""

    def __init__(
        self,
        milestones: Sequence[int],
        gamma: float = 0.1,
        begin: int = 0,
        end: float | None = None,
        by_epoch: bool = True,
        convert_to_steps: bool = False,
    ) -> None:
        super().__init__(begin, end, by_epoch, convert_to_steps)
        self.milestones = list(milestones)
        if self.milestones != sorted(self.milestones) or min(self.milestones, default=1) < 1:
            raise ValueError(
                f"MultiStep: milestones={self.milestones} must be positive and in ascending order"
            )
        self.gamma = gamma

    def in_steps(self, steps_per_epoch: int) -> None:
        super().in_steps(steps_per_epoch)
        self.milestones = [milestone * steps_per_epoch for milestone in self.milestones]

    def advance(self, rate: float, base: float, position: int, length: int) -> float:
        return rate * self.gamma ** self.milestones.count(position)


class Step(Phase):
    """Times gamma every step_size."""

    def __init__(
        self,
        step_size: int,
        gamma: float = 0.1,
        begin: int = 0,
        end: float | None = None,
        by_epoch: bool = True,
        convert_to_steps: bool = False,
    ) -> None:
        super().__init__(begin, end, by_epoch, convert_to_steps)
        if step_size < 1:
            raise ValueError(f"Step: step_size={step_size} is not positive")
        self.step_size = step_size
        self.gamma = gamma

    def in_steps(self, steps_per_epoch: int) -> None:
        super().in_steps(steps_per_epoch)
        self.step_size *= steps_per_epoch

    def advance(self, rate: float, base: float, position: int, length: int) -> float:
        return rate * self.gamma if position and position % self.step_size == 0 else rate


class Exponential(Phase):
    """Times gamma every time."""

    def __init__(
        self,
        gamma: float,
        begin: int = 0,
        end: float | None = None,
        by_epoch: bool = True,
        convert_to_steps: bool = False,
    ) -> None:
        super().__init__(begin, end, by_epoch, convert_to_steps)
        self.gamma = gamma

    def in_steps(self, steps_per_epoch: int) -> None:
        super().in_steps(steps_per_epoch)
        self.gamma **= 1 / steps_per_epoch

    def advance(self, rate: float, base: float, position: int, length: int) -> float:
        return rate * self.gamma if position else rate


class Cosine(Phase):
    """Half a cosine down to eta_min, or to eta_min_ratio of the optimizer's rate (Loshchilov and
    Hutter, ICLR 2017, eq. 5).

    T_max: length of the half wave; None: the length of the phase.
    """

    def __init__(
        self,
        T_max: int | None = None,
        eta_min: float = 0.0,
        eta_min_ratio: float | None = None,
        begin: int = 0,
        end: float | None = None,
        by_epoch: bool = True,
        convert_to_steps: bool = False,
    ) -> None:
        super().__init__(begin, end, by_epoch, convert_to_steps)
        if T_max is not None and T_max < 1:
            raise ValueError(f"Cosine: T_max={T_max} is not positive")
        self.T_max = T_max
        self.eta_min = eta_min
        self.eta_min_ratio = eta_min_ratio

    def in_steps(self, steps_per_epoch: int) -> None:
        super().in_steps(steps_per_epoch)
        self.T_max = None if self.T_max is None else self.T_max * steps_per_epoch

    def advance(self, rate: float, base: float, position: int, length: int) -> float:
        half = self.T_max or length
        low = self.eta_min if self.eta_min_ratio is None else base * self.eta_min_ratio
        if position == 0:
            return rate
        if (position - 1 - half) % (2 * half) == 0:  # turning up again, from the bottom
            return rate + (base - low) * (1 - math.cos(math.pi / half)) / 2
        ratio = (1 + math.cos(math.pi * position / half)) / (
            1 + math.cos(math.pi * (position - 1) / half)
        )
        return ratio * (rate - low) + low


class Poly(Phase):
    """Down to eta_min as a power of the time that is left."""

    def __init__(
        self,
        power: float = 1.0,
        eta_min: float = 0.0,
        begin: int = 0,
        end: float | None = None,
        by_epoch: bool = True,
        convert_to_steps: bool = False,
    ) -> None:
        super().__init__(begin, end, by_epoch, convert_to_steps)
        self.power = power
        self.eta_min = eta_min

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
        self.phases = dict(phases)
        self.steps_per_epoch = steps_per_epoch
        self.optimizer = optimizer
        self.bases = [float(group["lr"]) for group in optimizer.param_groups]
        self.rates = list(self.bases)
        self.step = -1
        # At a new epoch phases that count steps have moved on already when those that count epochs
        # do.
        self._in_order = sorted(self.phases.values(), key=lambda phase: not phase.stepwise)
        for name, phase in self.phases.items():
            last = num_epochs if phase.by_epoch else num_epochs * steps_per_epoch
            late = [m for m in getattr(phase, "milestones", []) if m >= last]
            if late or phase.begin >= last:
                raise ValueError(
                    f"schedule.lr.{name}: {late or phase.begin} is not before the end of the run "
                    f"at {last}"
                )
            if phase.end is None:
                phase.end = last
            if phase.convert_to_steps:
                phase.in_steps(steps_per_epoch)

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
        for phase in self._in_order if self.step else self.phases.values():
            if within and not phase.stepwise:
                continue
            now = self.step if phase.stepwise else epoch
            assert phase.end is not None
            if phase.begin <= now < phase.end:
                self.rates = [
                    phase.advance(rate, base, now - phase.begin, int(phase.end) - phase.begin)
                    for rate, base in zip(self.rates, self.bases, strict=True)
                ]

    def _set(self) -> None:
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate
