"""`schedule.epochs` on the command line: the curve of the recipe, over another number of epochs.

The oracle is the recipe's own curve, which tests/engine/test_lr.py holds to MMEngine's: at the same
fraction of the run the rate is the same.
"""

import copy
import functools
import json
import math
from pathlib import Path

import hydra
import pytest
import torch
import yaml
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from vidrec import build
from vidrec.config import validation
from vidrec.config.compose import conf_dir, register
from vidrec.config.contributions import Contribution, of_overrides
from vidrec.config.schema import ScheduleConf
from vidrec.config.stretching import stretch

ROOT = Path(conf_dir())
EPOCHS = (1, 7, 10, 300)
# Kinds of curves: drops after a warm-up, half a wave by epochs, one that a warm-up scales, one that
# is cut off, a warm-up that ends within an epoch.
SAMPLE = ["tsm", "r2plus1d", "slowfast", "mvit", "swin3d"]


def curve(schedule: ScheduleConf, steps_per_epoch: int) -> list[float]:
    """The rate of every step."""
    rate = schedule.optimizer["lr"]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    lr = build.build_lr(schedule, optimizer, steps_per_epoch)
    rates = []
    for step in range(schedule.epochs * steps_per_epoch):
        lr(step)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def assert_same_curve(published: ScheduleConf, stretched: ScheduleConf) -> None:
    """Both in as many steps, of which an epoch of the recipe has `width`."""
    steps = math.lcm(published.epochs, stretched.epochs)
    steps *= -(-500 // steps)  # 500 or more
    width = steps // published.epochs
    before, after = curve(published, width), curve(stretched, steps // stretched.epochs)
    phases = [phase for phase in published.lr.values() if phase]
    if all(phase.get("convert_to_steps") or "milestones" in phase for phase in phases):
        assert after == pytest.approx(before, rel=1e-9, abs=1e-15)
        return
    # Stairs became ramps, or narrower stairs: each rate is between those of the stairs around it.
    before += [0.0] * width
    for step, rate in enumerate(after):
        around = before[max(0, step - width) : step + width + 1]
        assert min(around) * (1 - 1e-9) <= rate <= max(around) * (1 + 1e-9), step


@pytest.mark.parametrize("epochs", [1, 7, 300])
@pytest.mark.parametrize("model", SAMPLE)
def test_the_curve_of_a_run_of_another_length_is_the_published_one(model, epochs):
    choice = f"model={model}"
    cfg = composed(choice)
    longer = checked(stretched(cfg, epochs), choice)
    assert_same_curve(checked(cfg, choice).schedule, longer.schedule)


def test_a_note_says_what_was_stretched():
    cfg = composed("schedule=sgd_100e", "schedule.val_interval=5", "model=tsn")
    given = [*lengths(100, 10), *of_overrides(["schedule.val_interval=5"])]
    assert stretch(cfg, given) == [
        "schedule.epochs=10 instead of 100: schedule.lr.drop.milestones 40, 80 -> 4, 8"
    ]
    assert cfg.schedule.val_interval == 5  # what the command line sets stays


def test_what_the_command_line_sets_stays(compose):
    lr = compose(
        "model=slowfast",
        "schedule.epochs=64",
        "schedule.lr.warmup.end=3",
        "schedule.val_interval=4",
    ).schedule.lr
    assert (lr["warmup"]["end"], lr["decay"]["T_max"], lr["decay"]["end"]) == (3, 64, 64)


def test_the_published_number_of_epochs_changes_nothing(compose):
    assert compose("model=slowfast", "schedule.epochs=256") == compose("model=slowfast")


@pytest.mark.parametrize("epochs", [1, 5, 50])
def test_an_exponential_decay_ends_where_the_published_one_does(epochs):
    cfg = OmegaConf.create({"schedule": {"epochs": epochs, "lr": {"fall": FALL | {"gamma": 0.9}}}})
    stretch(cfg, lengths(10, epochs))
    assert cfg.schedule.lr.fall.gamma**epochs == pytest.approx(0.9**10)


FALL = {"_target_": "vidrec.engine.lr.Exponential"}


@pytest.mark.slow
@pytest.mark.parametrize("epochs", EPOCHS)
def test_every_schedule_of_a_recipe_or_model_can_have_any_length(epochs):
    choices = own_schedules()
    assert len(choices) > 40
    for choice in choices:
        cfg = composed(choice)
        longer = checked(stretched(cfg, epochs), choice)
        assert_same_curve(published(choice), longer.schedule)


@functools.cache
def published(choice):
    return checked(composed(choice), choice).schedule


@functools.cache
def own_schedules():
    """The experiments and models with a schedule of their own: one for each that is written."""
    found = {}
    for group in ("experiment", "model"):
        for file in sorted(Path(conf_dir(), group).glob("*.yaml")):
            content = yaml.safe_load(file.read_text())
            defaults = [item for item in content["defaults"] if isinstance(item, dict)]
            chosen = {k: v for item in defaults for k, v in item.items() if "/schedule" in k}
            if group == "experiment" and not chosen:
                chosen = {k: v for item in defaults for k, v in item.items() if "/model" in k}
            written = content.get("schedule")
            if chosen or written:
                text = json.dumps([[*chosen.values()], written], sort_keys=True)
                found.setdefault(text, f"{group}={file.stem}")
    return list(found.values())


@functools.cache
def composed(*overrides):
    """What Hydra composes, before it is completed."""
    register()
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(conf_dir(), version_base="1.3"):
        return hydra.compose("train", list(overrides))


def checked(cfg, choice):
    return validation.check(copy.deepcopy(cfg), overrides=[choice])


def lengths(published, wanted):
    path = ("schedule", "epochs")
    file = Contribution("conf/schedule/a.yaml", path, published)
    return [file, Contribution(f"schedule.epochs={wanted}", path, wanted, is_override=True)]


def stretched(cfg, epochs):
    cfg = copy.deepcopy(cfg)
    published, cfg.schedule.epochs = cfg.schedule.epochs, epochs
    stretch(cfg, lengths(published, epochs))
    return cfg
