"""What a class of the user's lacks is said at start, by its name and with what is needed."""

import pytest

from tests.config.own_parts import OWN
from vidrec.errors import ConfigError


def replaced(path, name, arguments=""):
    return [f"~{path}", f"+{path}={{_target_: {OWN}.{name}{arguments}}}"]


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("data.metric", "NoRows", "has no 'rows'; a metric needs key, higher_is_better, reset, "),
        ("data.metric", "Plain", "has no 'key' and no 'higher_is_better' and no 'reset' and no "),
        ("data.metric", "UpdatesFromScores", r"update\(scores\) is called as .*update\(pred"),
        ("model.net", "NoPredict", "has no 'predict'; a network needs forward, predict"),
        ("model.net", "NoForward", "has no 'forward'; a network needs"),
        ("model.loss", "Plain", "has no '__call__'; a loss needs __call__"),
        ("model.loss", "Backbone", r"__call__\(frames\) is called as .*\(outputs, batch\)"),
        ("data.test", "NoCollate", "has no 'collate'; a dataset needs"),
        ("data.sampling.train", "Plain", "has no 'clip_len' and no 'frame_interval' and"),
        ("model.net.backbone", "Plain", "is no subclass of torch.nn.modules.module.Module"),
        ("model.net.backbone", "make_plain", "is no subclass of torch.nn.modules.module.Module"),
        ("model.net.backbone", "NoForward", "has no forward"),
        ("data.transforms.train.crop", "Plain", "cannot be called"),
        ("data.train.reader", "Plain", "has no 'open'; a reader needs open"),
        ("schedule.mixing", "Plain", "has no 'num_classes' and no '__call__'; a mix needs"),
        ("schedule.optimizer", "Plain", "is no subclass of torch.optim.optimizer.Optimizer"),
    ],
)
def test_what_a_class_lacks_is_named(compose, path, name, expected):
    given = replaced(path, name, ", _partial_: true, lr: 1" if "optimizer" in path else "")
    where = {"sampling": "data.train.sampling", "transforms": "data.train.steps.crop"}
    path = where.get(path.split(".")[1], path)  # where it is an argument
    with pytest.raises(ConfigError, match=rf"^{path}: {OWN}\.{name}.*{expected}.*own_code"):
        compose(*given)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("data.metric", "Score"),
        ("model.net", "Network"),
        ("model.loss", "Loss"),
        ("data.test", "Dataset"),
        ("data.sampling.train", "Sampling"),
        ("model.net.backbone", "make_backbone"),
        ("data.transforms.train.crop", "Shift"),
        ("schedule.mixing", "Mixing"),
    ],
)
def test_what_is_complete_passes(compose, path, name):
    compose(*replaced(path, name))
