"""What torch.hub finds in a checkout."""

import pytest
import torch

from tests.paths import ROOT


def load(source):
    return torch.hub.load(str(ROOT), "load_model", source, source="local")


def test_the_entry_point_is_found_with_its_dependencies():
    with pytest.raises(ValueError, match="nowhere"):
        load("zoo://nowhere")


@pytest.mark.slow
def test_a_run_is_loaded_for_evaluation(tiny_run):
    net = load(str(tiny_run))
    assert not net.training
    best = torch.load(tiny_run / "best.pt", weights_only=True)["net"]
    assert all(torch.equal(tensor, best[name]) for name, tensor in net.net.state_dict().items())
