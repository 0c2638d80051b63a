"""The network in memory."""

import pytest
import torch
from torch import nn

from vidrec.engine.setup import channels_last, net_to_device


def test_convolutions_over_images_and_clips_get_the_layout_of_the_frames():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv3d(3, 4, 3), nn.Linear(4, 4), nn.BatchNorm3d(4))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert channels_last(net) is net
    assert net[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert net[1].weight.is_contiguous(memory_format=torch.channels_last_3d)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])
    assert net[1](torch.zeros(1, 3, 4, 8, 8)).shape == (1, 4, 2, 6, 6)


def test_synchronised_batch_norm_is_refused_without_a_device_that_has_it():
    with pytest.raises(ValueError, match=r"schedule\.sync_bn=true needs CUDA"):
        net_to_device(nn.BatchNorm3d(4), torch.device("cpu"), sync_bn=True)
