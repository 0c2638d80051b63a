"""What torch.hub finds in a checkout."""

import importlib.util
import inspect
import re

import pytest
import torch

from tests.paths import ROOT
from vidrec.weights import zoo


def load(name, *arguments, **options):
    return torch.hub.load(str(ROOT), name, *arguments, source="local", **options)


def test_the_entry_point_is_found_with_its_dependencies():
    with pytest.raises(ValueError, match="nowhere"):
        load("load_model", "zoo://nowhere")


def test_every_name_has_weights_and_the_figure_that_was_published():
    spec = importlib.util.spec_from_file_location("hubconf", ROOT / "hubconf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # As torch.hub.list does with the repositories of GitHub, which alone it takes.
    names = {k for k, value in vars(module).items() if callable(value) and not k.startswith("_")}
    general = {"load_model", "create_model", "list_models"}
    assert general | {"slowonly_r50", "slowfast_r50", "x3d_m"} <= names
    source = (ROOT / "hubconf.py").read_text()
    recipes = dict(
        re.findall(r"^def (\w+)\(.*?\"([\w.-]{15,})\"", source, re.MULTILINE | re.DOTALL)
    )
    for name in names - general:
        recipe = zoo.find(recipes[name])
        assert recipe.weights, name
        help_text = inspect.getdoc(getattr(module, name))  # what torch.hub.help prints
        data, score = re.search(r"Top-1 on (\S+): ([\d.]+)\.$", help_text, re.MULTILINE).groups()
        assert float(score) == recipe.scores["top1"], name
        assert data.lower().replace("-", "") in recipe.dataset.lower().replace("-", ""), name


@pytest.mark.slow
def test_a_network_by_name():
    net = load("x3d_s", num_classes=7).eval()
    with torch.no_grad():
        assert net(torch.zeros(1, 3, 13, 160, 160)).shape == (1, 7)


@pytest.mark.slow
def test_a_run_is_loaded_for_evaluation(tiny_run):
    net = load("load_model", str(tiny_run))
    assert not net.training
    best = torch.load(tiny_run / "best.pt", weights_only=True)["net"]
    assert all(torch.equal(tensor, best[name]) for name, tensor in net.net.state_dict().items())
