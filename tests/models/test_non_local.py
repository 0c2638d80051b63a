"""Non-local blocks against loops over pairs of positions, after equations 2 to 5 of the paper."""

import math

import pytest
import torch
from torch import nn

from vidrec.models.layers.non_local import NonLocal

MODES = ("gaussian", "embedded_gaussian", "dot_product", "concatenation")


def block(mode, **options):
    """A block that does something: as constructed it is the identity."""
    torch.manual_seed(0)
    net = NonLocal(4, mode=mode, **options).double().eval()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.5)
    return net


def clips(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def linear(conv, vector):
    """A 1x1x1 convolution at one position."""
    out = conv.weight[:, :, 0, 0, 0] @ vector
    return out if conv.bias is None else out + conv.bias


def by_loop(net, mode, x, use_scale):
    """The sum over all positions, one pair at a time, without subsampling."""
    batch, channels, t, h, w = x.shape
    result = x.clone()
    places = [(a, b, c) for a in range(t) for b in range(h) for c in range(w)]
    for n in range(batch):
        for i in places:
            pairs, values = [], []
            for j in places:
                x_i, x_j = x[(n, slice(None), *i)], x[(n, slice(None), *j)]
                if mode == "gaussian":
                    pairs.append(x_i @ x_j)
                else:
                    theta, phi = linear(net.theta.conv, x_i), linear(net.phi.conv, x_j)
                    if mode == "concatenation":
                        both = torch.cat([theta, phi])
                        pairs.append(linear(net.concat_project.conv, both)[0].relu())
                    else:
                        pairs.append(theta @ phi)
                values.append(linear(net.g.conv, x_j))
            weights = torch.stack(pairs)
            if mode in ("gaussian", "embedded_gaussian"):
                if mode == "embedded_gaussian" and use_scale:
                    weights = weights / math.sqrt(channels // 2)
                weights = weights.exp() / weights.exp().sum()
            else:
                weights = weights / len(places)
            y = linear(net.conv_out.conv, weights @ torch.stack(values))
            norm = net.conv_out.bn
            y = (y - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
            result[(n, slice(None), *i)] += y * norm.weight + norm.bias
    return result


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("use_scale", [True, False])
def test_every_position_sees_all_positions_of_its_clip(mode, use_scale):
    net = block(mode, use_scale=use_scale)
    x = clips(2, 4, 2, 2, 3)
    torch.testing.assert_close(net(x), by_loop(net, mode, x, use_scale))


@pytest.mark.parametrize("mode", MODES)
def test_subsampling_changes_nothing_where_neighbours_are_equal(mode):
    """Maxima of equal values: half the pairs, the same averages."""
    net, halved = block(mode), block(mode, sub_sample=True)
    names = [name for name, _ in halved.named_parameters()]
    assert "g.0.conv.weight" in names
    assert ("phi.0.conv.weight" in names) == (mode != "gaussian")
    halved.load_state_dict(dict(zip(halved.state_dict(), net.state_dict().values(), strict=True)))
    x = clips(1, 4, 2, 2, 3).repeat_interleave(2, 3).repeat_interleave(2, 4)
    torch.testing.assert_close(halved(x), net(x))


@pytest.mark.parametrize("mode", MODES)
def test_it_starts_as_the_identity_and_learns(mode):
    net = NonLocal(4, mode=mode, sub_sample=True)
    x = clips(2, 4, 2, 4, 4).float()
    torch.testing.assert_close(net(x), x, rtol=0, atol=0)
    net(x).square().sum().backward()
    assert net.conv_out.bn.weight.grad.abs().sum() > 0


def test_memory_format_is_kept():
    net, x = block("embedded_gaussian"), clips(2, 4, 2, 4, 4)
    last = x.contiguous(memory_format=torch.channels_last_3d)
    result = net(last)
    torch.testing.assert_close(result, net(x))
    assert result.is_contiguous(memory_format=torch.channels_last_3d)


def test_an_unknown_mode_is_named():
    with pytest.raises(ValueError, match=r"mode='cosine'.*dot_product"):
        NonLocal(4, mode="cosine")
