"""Video Swin gives torchvision's numbers with the same weights, and the published ones."""

import re

import pytest
import torch
from timm.layers import DropPath
from torch import nn

from vidrec.models.backbones.swin3d import SwinTransformer3D, fitted, joined, shift_mask, windows

ARCH = {"embed_dims": 8, "depths": [2, 3], "num_heads": [1, 2]}


def small_net(window_size=(2, 3, 3), **options):
    torch.manual_seed(0)
    net = SwinTransformer3D(ARCH, window_size=window_size, out_indices=[1], **options)
    for name, parameter in net.named_parameters():
        if "bias" in name:  # tables and biases that show
            nn.init.normal_(parameter)
    return net


@pytest.mark.parametrize(
    ("size", "window_size"),
    [
        # Whole windows; padded patches, windows and mergings; windows larger than the map.
        ((8, 48, 48), (2, 3, 3)),
        ((5, 42, 52), (2, 3, 3)),
        ((6, 20, 44), (4, 7, 7)),
    ],
)
def test_same_weights_in_torchvisions_network_give_the_same_numbers(size, window_size):
    from torchvision.models.video.swin_transformer import SwinTransformer3d

    net = small_net(window_size).double().eval()
    reference = SwinTransformer3d(
        [2, 4, 4], 8, ARCH["depths"], ARCH["num_heads"], list(window_size), num_classes=1
    )
    state = {theirs_of(name): value for name, value in net.state_dict().items()}
    missing, unexpected = reference.double().eval().load_state_dict(state, strict=False)
    assert set(missing) == {"head.weight", "head.bias"}
    assert not unexpected
    reference.avgpool = reference.head = nn.Identity()
    clip = torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        ours, theirs = net(clip), reference(clip)
    torch.testing.assert_close(ours.flatten(1), theirs.flatten(1), rtol=1e-11, atol=1e-11)


def theirs_of(name):
    """torchvision numbers stages and mergings together, and the layers of a perceptron."""
    name = name.replace("mlp.fc1", "mlp.0").replace("mlp.fc2", "mlp.3")
    name = re.sub(r"^norm\d", "norm", name)
    name = re.sub(r"^layers\.(\d)\.blocks", lambda m: f"features.{2 * int(m[1])}", name)
    return re.sub(r"^layers\.(\d)\.downsample", lambda m: f"features.{2 * int(m[1]) + 1}", name)


def test_blocks_are_left_out_as_often_as_torchvisions():
    from torchvision.models.video.swin_transformer import SwinTransformer3d
    from torchvision.ops import StochasticDepth

    reference = SwinTransformer3d(
        [2, 4, 4], 8, ARCH["depths"], ARCH["num_heads"], [2, 3, 3], stochastic_depth_prob=0.4
    )
    theirs = [module.p for module in reference.modules() if isinstance(module, StochasticDepth)]
    net = small_net(drop_path_rate=0.4)
    ours = [module.drop_prob for module in net.modules() if isinstance(module, DropPath)]
    assert ours == pytest.approx(theirs)


def test_shifted_windows_keep_opposite_ends_apart():
    # A map of 4 x 1 x 1 rolled by 1 is 1 2 | 3 0: of the second window's two, 0 comes from afar.
    mask = shift_mask((4, 1, 1), (2, 1, 1), (1, 0, 0), torch.device("cpu"))
    assert mask.tolist() == [[[0, 0], [0, 0]], [[0, -100], [-100, 0]]]
    # Windows in the corner of a 4 x 4 map hold four regions of one position each.
    corner = shift_mask((1, 4, 4), (1, 2, 2), (0, 1, 1), torch.device("cpu"))[3]
    assert torch.equal(corner, 100 * torch.eye(4) - 100)


def test_windows_are_boxes_and_can_be_joined_again():
    x = torch.arange(2 * 4 * 4 * 6).view(2, 4, 4, 6, 1)
    cut = windows(x, (2, 2, 3))
    assert cut.shape == (2, 8, 12, 1)
    assert cut[0, 1, :, 0].tolist() == x[0, :2, :2, 3:, 0].flatten().tolist()
    assert torch.equal(joined(cut, (4, 4, 6), (2, 2, 3)), x)


def test_no_shift_where_one_window_covers_the_map():
    assert fitted((16, 7, 5), (8, 7, 7), shifted=True) == ((8, 7, 5), (4, 0, 0))
    assert fitted((16, 14, 14), (8, 7, 7), shifted=False) == ((8, 7, 7), (0, 0, 0))


def test_several_stages_give_several_maps():
    net = SwinTransformer3D(ARCH, window_size=(2, 3, 3), out_indices=(0, 1))
    first, second = net(torch.randn(1, 3, 4, 40, 48))
    assert first.shape == (1, 8, 2, 10, 12)
    assert second.shape == (1, 16, 2, 5, 6)


def test_exports_and_trains_after_a_test_in_inference_mode():
    net, clip = small_net(), torch.randn(1, 3, 4, 44, 36)
    with torch.inference_mode():
        expected = net.eval()(clip)
    exported = torch.export.export(net, (clip,)).module()
    torch.testing.assert_close(exported(clip), expected)
    net.train()(clip).sum().backward()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"arch": "huge"}, "arch='huge'"), ({"arch": "tiny", "out_indices": [4]}, r"\[4\]")],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        SwinTransformer3D(**options)
