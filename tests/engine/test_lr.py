"""Learning rates against curves that MMEngine 0.10.7 gave for published recipes
(tests/golden/lr.json.gz).

Each stored chain was stepped at 100 iterations per epoch; a row is epoch, iteration and the rate
used there.
"""

import math

import pytest
import torch
from hydra.utils import instantiate

from tests.paths import read_golden
from vidrec.engine.lr import (
    Constant,
    Cosine,
    Exponential,
    LearningRate,
    Linear,
    MultiStep,
    Poly,
    Step,
)

CHAINS = read_golden("lr.json.gz")
NAMES = {"LinearLR": "Linear", "MultiStepLR": "MultiStep", "CosineAnnealingLR": "Cosine"}


def optimizer(*rates):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    return torch.optim.SGD(groups)


def curve(phases, base=1.0, epochs=10, steps=10):
    """The rate of every step."""
    opt = optimizer(base)
    lr = LearningRate({str(i): p for i, p in enumerate(phases)}, opt, steps, epochs)
    rates = []
    for step in range(epochs * steps):
        lr(step)
        rates.append(opt.param_groups[0]["lr"])
    return rates


@pytest.mark.parametrize("chain", CHAINS, ids=lambda c: "+".join(n for n, _ in c["phases"]))
def test_published_chains_give_the_same_rate_at_every_step(chain):
    phases = [
        instantiate({"_target_": f"vidrec.engine.lr.{NAMES[name]}", **arguments})
        for name, arguments in chain["phases"]
    ]
    rates = curve(phases, chain["base"], chain["epochs"], chain["steps_per_epoch"])
    for epoch, step, expected in chain["rows"]:
        got = rates[epoch * chain["steps_per_epoch"] + step]
        assert got == pytest.approx(expected, rel=1e-12), (epoch, step)


# Closed forms, worked out by hand: what each recursion must come to when it acts alone.
@pytest.mark.parametrize(
    ("phase", "closed_form"),
    [
        (Constant(factor=0.25, end=4), lambda e: 0.25 if e < 3 else 1.0),
        (Constant(factor=0.25, end=1), lambda e: 1.0),
        (Linear(start_factor=0.2, end=1), lambda e: 1.0),
        (Linear(start_factor=0.2, end_factor=0.5, begin=3, end=4), lambda e: 1 - 0.5 * (e >= 3)),
        (Linear(start_factor=0.2, end=5), lambda e: 0.2 + 0.8 * min(e, 4) / 4),
        (MultiStep(milestones=[3, 3, 7], gamma=0.5), lambda e: 0.5 ** (2 * (e >= 3) + (e >= 7))),
        (Step(step_size=3, gamma=0.5), lambda e: 0.5 ** (e // 3)),
        (Exponential(gamma=0.9), lambda e: 0.9**e),
        (Cosine(T_max=10, eta_min=0.1), lambda e: 0.1 + 0.9 * (1 + math.cos(math.pi * e / 10)) / 2),
        (Cosine(eta_min_ratio=0.1), lambda e: 0.1 + 0.9 * (1 + math.cos(math.pi * e / 10)) / 2),
        (Cosine(T_max=4), lambda e: (1 + math.cos(math.pi * e / 4)) / 2),  # up again and down
        (Poly(power=2.0), lambda e: (1 - e / 9) ** 2),
        (Poly(power=1.0, eta_min=0.1), lambda e: 0.1 + 0.9 * (1 - e / 9)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_phase_alone_follows_its_formula(phase, closed_form):
    got = curve([phase], steps=3)[::3]
    assert got == pytest.approx([closed_form(epoch) for epoch in range(10)], rel=1e-10, abs=1e-15)


def test_phases_by_step_and_converted_from_epochs_are_the_same():
    by_epoch = curve([Linear(start_factor=0.1, end=3, convert_to_steps=True)])
    by_step = curve([Linear(start_factor=0.1, end=30, by_epoch=False)])
    assert by_epoch == by_step
    assert by_step[:31] == pytest.approx([0.1 + 0.9 * min(i, 29) / 29 for i in range(31)])


def test_a_late_phase_begins_after_its_first_epochs():
    rates = curve([Linear(start_factor=0.1, end=2), MultiStep(milestones=[3], begin=4)])[::10]
    assert rates == pytest.approx([0.1, 1, 1, 1, 1, 1, 1, 0.1, 0.1, 0.1])


@pytest.mark.parametrize("resumed_at", [0, 1, 49, 50, 99])
def test_a_resumed_run_has_the_same_rates_bit_for_bit(resumed_at):
    def phases():
        return [
            Linear(start_factor=0.1, end=3, convert_to_steps=True),
            Cosine(T_max=10),
            MultiStep(milestones=[5]),
        ]

    whole = curve(phases())
    opt = optimizer(1.0)
    lr = LearningRate(dict(zip("abc", phases(), strict=True)), opt, 10, 10)
    rates = []
    for step in range(resumed_at, 100):
        lr(step)
        rates.append(opt.param_groups[0]["lr"])
    assert rates == whole[resumed_at:]


def test_groups_keep_their_ratio():
    opt = optimizer(1.0, 5.0)
    lr = LearningRate({"drop": MultiStep(milestones=[1])}, opt, 2, 2)
    lr(2)
    assert [group["lr"] for group in opt.param_groups] == pytest.approx([0.1, 0.5])


def test_without_phases_the_rate_stays():
    assert set(curve([], base=0.3)) == {0.3}


def test_times_past_the_end_are_refused():
    with pytest.raises(ValueError, match=r"schedule\.lr\.drop: \[80\] is not before the end .* 50"):
        LearningRate({"drop": MultiStep(milestones=[40, 80])}, optimizer(0.1), 10, 50)
    with pytest.raises(ValueError, match=r"schedule\.lr\.late: \[60\] is"):
        LearningRate({"late": Cosine(begin=60)}, optimizer(0.1), 10, 50)


def test_a_warm_up_of_one_step_is_over_with_it():
    """An epoch of one step: the published chain of a warm-up in the first epoch, then a cosine."""
    warmup = Linear(start_factor=0.1, end=1, convert_to_steps=True)
    rates = curve([warmup, Cosine(begin=1, convert_to_steps=True)], epochs=5, steps=1)
    expected = [(1 + math.cos(math.pi * max(0, e - 1) / 4)) / 2 for e in range(5)]
    assert rates == pytest.approx(expected)


def test_a_phase_longer_than_the_run_is_refused():
    with pytest.raises(ValueError, match=r"schedule\.lr\.warmup: end=500 is past .* at 100"):
        LearningRate({"warmup": Linear(end=500, by_epoch=False)}, optimizer(0.1), 10, 10)


@pytest.mark.parametrize("phase", [Cosine(eta_min=2e-3), Poly(eta_min=2e-3)])
def test_a_lowest_rate_above_that_of_a_group_is_refused(phase):
    LearningRate({"decay": phase}, optimizer(0.1, 2e-3), 10, 10)
    with pytest.raises(
        ValueError, match=r"decay: eta_min=0\.002 is above .* 0\.001.*eta_min_ratio"
    ):
        LearningRate({"decay": phase}, optimizer(0.1, 1e-3), 10, 10)


def test_impossible_arguments_are_refused():
    with pytest.raises(ValueError, match="begin=5, end=5"):
        Linear(begin=5, end=5)
    with pytest.raises(ValueError, match="convert_to_steps"):
        Linear(by_epoch=False, convert_to_steps=True)
    with pytest.raises(ValueError, match="ascending"):
        MultiStep(milestones=[8, 4])


def test_phases_can_be_used_for_another_run():
    """The times of a phase that a run has turned into steps are still epochs for the next run."""
    phases = [Linear(start_factor=0.1, end=3, convert_to_steps=True), MultiStep(milestones=[5])]
    assert curve(phases) == curve(phases)
