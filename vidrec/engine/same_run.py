"""Whether a run can continue from a checkpoint, and with which other values than before."""

from collections.abc import Mapping
from typing import cast

import torch
import yaml
from torch import nn
from torch.optim import Optimizer

from vidrec.config.recipe_diff import ABSENT, flat
from vidrec.engine.checkpoint import Content
from vidrec.engine.job import Job

_START_OVER = "or start over with runtime.resume=never or in another hydra.run.dir"
_RESULTS = ("model.", "data.", "schedule.", "runtime.seed", "runtime.precision")
# Settings of torch's optimizers that need state from the first step on.
_NEED_STATE = ("amsgrad", "centered")


def check_fits(content: Content, job: Job) -> None:
    """Raise ValueError if the checkpoint is of another network or optimizer."""
    before, now = _config(content["config"]), _config(job.record.config)
    weights = "model.weights"
    if before.get(weights) != now.get(weights):
        raise ValueError(
            f"{weights}={now.get(weights)} has no effect on a run that continues, which began with "
            f"{weights}={before.get(weights)}: keep that, {_START_OVER}"
        )
    _check_network(content["net"], job.net)
    _check_optimizer(content, job)


def _check_network(theirs: Mapping[str, torch.Tensor], net: nn.Module) -> None:
    mine = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in theirs.items()}
    wrong = [name for name in {**mine, **found} if mine.get(name) != found.get(name)]
    if wrong:
        name = wrong[0]
        there, here = (shapes.get(name, ABSENT) for shapes in (found, mine))
        raise ValueError(
            f"the checkpoint is of another network: {name} is {there} there and {here} in this run "
            f"({len(wrong)} weights differ): keep the model and data.num_classes, {_START_OVER}"
        )


def _check_optimizer(content: Content, job: Job) -> None:
    theirs, mine = content["optimizer"]["param_groups"], job.optimizer.state_dict()["param_groups"]
    names = parameter_groups(job.net, job.optimizer)
    settings = [group.keys() - {"params"} for group in (theirs[0], mine[0])]
    if settings[0] != settings[1]:
        kind = "schedule.optimizer._target_"
        before = _config(content["config"]).get(kind, "another class")
        raise ValueError(
            f"the checkpoint is of a run with {before}, this one has "
            f"{type(job.optimizer).__name__}: keep {kind}, {_START_OVER}"
        )
    if content.get("parameter_groups", names) != names:
        raise ValueError(
            "the checkpoint's optimizer has other groups of parameters: keep "
            f"schedule.param_groups, schedule.layer_decay and what is frozen, {_START_OVER}"
        )
    for name in _NEED_STATE:
        before, now = theirs[0].get(name), mine[0].get(name)
        if before != now:
            raise ValueError(
                f"schedule.optimizer.{name}={now} cannot begin within a run, which has "
                f"{name}={before}: keep that, {_START_OVER}"
            )


def parameter_groups(net: nn.Module, optimizer: Optimizer) -> list[list[str]]:
    """The names of the parameters in each group, in the order of the optimizer's state."""
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    return [[names[id(p)] for p in group["params"]] for group in optimizer.param_groups]


def differences(content: Content, job: Job) -> list[str]:
    """`key: value of the checkpoint -> value now`, for all that has a part in the result."""
    before, now = _config(content["config"]), _config(job.record.config)
    return [
        f"{key}: {before.get(key, ABSENT)} -> {now.get(key, ABSENT)}"
        for key in {**before, **now}
        if key.startswith(_RESULTS) and before.get(key, ABSENT) != now.get(key, ABSENT)
    ]


def _config(text: str) -> dict[str, object]:
    return flat(cast(dict[str, object], yaml.safe_load(text) or {}))
