"""What stands between feature maps and actions; RoIAlign's figures computed with mmcv 2.1.0."""

import gzip
import json

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.paths import GOLDEN
from vidrec.models.heads.acrn import ACRNHead
from vidrec.models.heads.bbox_head import BBoxHead, pool_box
from vidrec.models.heads.fbo import FBOAvg, FBOHead, FBOMax, FBONonLocal
from vidrec.models.heads.roi_extractor import SingleRoIExtractor3D

with gzip.open(GOLDEN / "detection.json.gz", "rt") as file:
    ALIGN = json.load(file)["roi_align"]


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("case", ALIGN["cases"], ids=lambda c: f"{c['pool_mode']}{c['aligned']}")
def test_roi_align_is_that_of_the_reference(case):
    feature = drawn(2, 3, 9, 11).requires_grad_()
    extractor = SingleRoIExtractor3D(
        case["output_size"],
        round(1 / case["spatial_scale"]),
        case["sampling_ratio"],
        case["pool_mode"],
        case["aligned"],
    )
    out = extractor.align(feature, torch.tensor(ALIGN["rois"], dtype=torch.float64))
    assert list(out.shape) == case["shape"]
    means = torch.tensor(case["out_roi_mean"], dtype=torch.float64)
    torch.testing.assert_close(out.mean(dim=(1, 2, 3)), means, rtol=1e-9, atol=1e-12)
    first = torch.tensor(case["first_channel_roi1"], dtype=torch.float64)
    torch.testing.assert_close(out[1, 0], first, rtol=1e-9, atol=1e-12)
    assert out.norm().item() == pytest.approx(case["out_l2"], rel=1e-9)


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_boxes_keep_their_place_in_half_precision(mode):
    """The map is its own column number, exact in bfloat16; 317 pixels are not."""
    ramp = torch.arange(24.0).expand(1, 1, 1, 24, 24)
    boxes, views = torch.tensor([[197.0, 32.0, 317.0, 320.0]]), torch.tensor([0])
    extractor = SingleRoIExtractor3D(1, 16, 1, mode)
    got, _ = extractor(ramp.bfloat16(), boxes, views)
    assert got.dtype == torch.bfloat16
    # Half a cell less, as the ramp counts the middles of cells; then one rounding to 8 bits.
    expected = (197 + 317) / 2 / 16 - 0.5
    assert got.item() == torch.tensor(expected).bfloat16().item()


def test_pathways_are_pooled_along_time_then_joined():
    """The reference repeats the slow map to the length of the fast one first: the same mean."""
    slow, fast = drawn(2, 6, 2, 5, 5), drawn(2, 4, 8, 5, 5, seed=1)
    boxes = torch.tensor([[0.0, 0.0, 79.0, 60.0], [16.0, 8.0, 50.0, 70.0]]).double()
    views = torch.tensor([1, 0])
    for mode, pool in (("avg", torch.mean), ("max", torch.amax)):
        extractor = SingleRoIExtractor3D(3, temporal_pool_mode=mode)
        got, joined = extractor((slow, fast), boxes, views)
        repeated = slow.repeat_interleave(4, dim=2)
        whole = pool(torch.cat([repeated, fast], dim=1), dim=2, keepdim=True)
        torch.testing.assert_close(joined, whole)
        torch.testing.assert_close(
            got[:, :, 0],
            extractor.align(whole[:, :, 0], torch.cat([views[:, None].double(), boxes], dim=1)),
        )


def test_frames_can_stay_apart_and_the_whole_frame_join():
    x = drawn(2, 3, 4, 6, 6)
    boxes, views = torch.tensor([[0.0, 0.0, 95.0, 95.0]]).double(), torch.tensor([1])
    extractor = SingleRoIExtractor3D(2, with_temporal_pool=False, with_global=True)
    got, joined = extractor(x, boxes, views)
    assert got.shape == (1, 6, 4, 2, 2)
    assert torch.equal(joined, x)
    for t in range(4):
        whole = F.adaptive_avg_pool2d(x[1, :, t], 2)
        torch.testing.assert_close(got[0, 3:, t], whole)


def test_pathways_whose_frames_stay_apart_have_those_of_the_longest():
    slow, fast = drawn(1, 2, 2, 5, 5), drawn(1, 1, 8, 5, 5, seed=1)
    boxes, views = torch.tensor([[0.0, 0.0, 79.0, 60.0]]).double(), torch.tensor([0])
    got, joined = SingleRoIExtractor3D(3, with_temporal_pool=False)((slow, fast), boxes, views)
    assert got.shape == (1, 3, 8, 3, 3)
    assert torch.equal(joined[:, :2], slow.repeat_interleave(4, dim=2))
    assert torch.equal(joined[:, 2:], fast)


def test_pooling_is_time_first_then_space():
    x = drawn(2, 3, 4, 5, 5)
    expected = torch.tensor(
        [
            [max(x[i, c, :, h, w].mean() for h in range(5) for w in range(5)) for c in range(3)]
            for i in range(2)
        ]
    ).double()
    torch.testing.assert_close(pool_box(x), expected)
    torch.testing.assert_close(pool_box(x, "max", "avg"), x.amax(dim=2).mean(dim=(2, 3)))


def test_scores_are_for_several_actions_or_for_one():
    logits = drawn(3, 5)
    several = BBoxHead(4, 5, background_class=True).scores(logits)
    one = BBoxHead(4, 5, background_class=True, multilabel=False).scores(logits)
    torch.testing.assert_close(several, logits.sigmoid())
    # The background is not learned: whatever its logit, the others share all of it.
    torch.testing.assert_close(one[:, 1:], logits[:, 1:].softmax(dim=1))
    assert not one[:, 0].any()
    all_actions = BBoxHead(4, 5, background_class=False, multilabel=False).scores(logits)
    torch.testing.assert_close(all_actions, logits.softmax(dim=1))


def test_new_classifiers_have_the_spread_of_glorot():
    """The published ones begin so, those of the shared heads as He et al. say."""
    head = BBoxHead(400, 80, background_class=True, mlp_head=True)
    for layer, size in ((head.fc_cls[0], 800), (head.fc_cls[2], 480)):
        assert layer.weight.std().item() == pytest.approx((2 / size) ** 0.5, rel=0.05)
        assert not layer.bias.any()
    convolutions = (
        ACRNHead(60, 300).conv1.conv,
        FBONonLocal(60, 300, 300, 1, 6).st_feat_conv,
        FBONonLocal(60, 300, 300, 1, 6).non_local_layer_2.out_conv.conv,
    )
    for convolution in convolutions:
        assert convolution.weight.std().item() == pytest.approx((2 / 300) ** 0.5, rel=0.05)


def test_dropout_before_or_after_pooling():
    head = BBoxHead(4, 5, True, dropout_ratio=0.999, dropout_before_pool=False).train()
    x = torch.ones(1, 4, 1, 3, 3)
    torch.manual_seed(0)
    assert torch.equal(head(x), head.fc_cls(torch.zeros(1, 4)))
    # Before: some cell of a channel survives, three times as large, and is its maximum.
    early = BBoxHead(4, 5, True, dropout_ratio=2 / 3).train()
    torch.testing.assert_close(
        early(torch.ones(1, 4, 1, 20, 20)), early.fc_cls(3 * torch.ones(4))[None]
    )


def test_actors_meet_every_place_of_the_scene():
    """Oracle: the actor's features repeated over the map, then one convolution over both."""
    head = ACRNHead(6, 4, num_convs=2).double()
    x, joined, views = drawn(3, 3, 1, 2, 2), drawn(2, 3, 1, 5, 4, seed=1), torch.tensor([1, 0, 1])
    actor = x.amax(dim=(2, 3, 4), keepdim=True).expand(-1, -1, 1, 5, 4)
    both = torch.cat([actor, joined[views]], dim=1)
    for train in (False, True):
        head.train(train)
        expected = head.convs[0](head.conv2(head.conv1(both)))
        torch.testing.assert_close(head(x, joined, views, None), expected)


@pytest.mark.parametrize("pre_activate", [True, False])
def test_attention_to_the_bank_is_that_of_a_loop(pre_activate):
    torch.manual_seed(0)
    fbo = FBONonLocal(5, 7, 4, 1, 6, num_non_local_layers=1, pre_activate=pre_activate)
    head = FBOHead(fbo.double().eval())
    x, bank = drawn(2, 5, 1, 3, 3), drawn(3, 6, 7, seed=1)
    views = torch.tensor([2, 0])
    out = head(x, x, views, bank)
    pooled = pool_box(x)
    torch.testing.assert_close(out[:, :5, 0, 0, 0], pooled)
    layer = fbo.non_local_layer_1

    def linear(convolution, vector):
        return convolution.weight[:, :, 0, 0, 0] @ vector + convolution.bias

    for row, view in enumerate(views.tolist()):
        short = linear(fbo.st_feat_conv, pooled[row])
        long = [linear(fbo.lt_feat_conv, entry) for entry in bank[view]]
        query = linear(layer.st_feat_conv.conv, short)
        keys = torch.stack([linear(layer.lt_feat_conv.conv, entry) for entry in long])
        values = torch.stack([linear(layer.global_conv.conv, entry) for entry in long])
        weights = (keys @ query / 2).softmax(dim=0)
        mixed = (weights[:, None] * values).sum(dim=0)
        if pre_activate:
            expected = short + linear(layer.out_conv.conv, F.layer_norm(mixed, (4,)).relu())
        else:
            expected = (short + F.layer_norm(linear(layer.out_conv.conv, mixed), (4,))).relu()
        torch.testing.assert_close(out[row, 5:, 0, 0, 0], expected)


def test_mean_and_maximum_of_the_bank():
    x, bank, views = drawn(2, 5, 1, 3, 3), drawn(3, 6, 7, seed=1), torch.tensor([2, 0])
    for fbo, pool in ((FBOAvg(), torch.mean), (FBOMax(), torch.amax)):
        out = FBOHead(fbo)(x, x, views, bank)
        torch.testing.assert_close(out[:, 5:, 0, 0, 0], pool(bank[views], dim=1))


def test_a_missing_or_unsuitable_bank_is_refused():
    x, views = drawn(2, 5, 1, 3, 3), torch.tensor([0, 0])
    with pytest.raises(ValueError, match=r"bank of long-term features.*vidrec bank"):
        FBOHead(FBOMax())(x, x, views, None)
    head = FBOHead(FBONonLocal(5, 7, 4, 1, 300).double())
    with pytest.raises(ValueError, match=r"the bank has 6 .* num_lt_feat=300"):
        head(x, x, views, drawn(1, 6, 7))


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda x: BBoxHead(5, 3, True)(x), r"bbox_head\.in_channels=4 \(it is 5\)"),
        (lambda x: ACRNHead(8, 3)(x, x[:, :3], x, None), r"4 and 3 channels.*in_channels=8 is"),
        (lambda x: FBONonLocal(5, 4, 3, 1, 1)(x, x), r"fbo\.st_feat_channels=5.* 4 channels"),
        (lambda x: FBONonLocal(4, 7, 3, 1, 1)(x, x), r"fbo\.lt_feat_channels=7.* 4 channels"),
    ],
)
def test_features_of_other_channels_are_told(run, message):
    with pytest.raises(ValueError, match=message):
        run(torch.zeros(2, 4, 1, 1, 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SingleRoIExtractor3D(temporal_pool_mode="mean"), r"temporal_pool_mode='mean'"),
        (lambda: BBoxHead(4, 5, True, spatial_pool_type="sum"), r"spatial_pool_type='sum'"),
        (lambda: ACRNHead(5, 4), r"in_channels=5 is odd"),
        (lambda: ACRNHead(6, 4, num_convs=0), r"num_convs=0"),
        (lambda: FBONonLocal(5, 7, 4, 1, 6, num_non_local_layers=0), r"num_non_local_layers=0"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_new_non_local_layers_can_begin_as_the_identity():
    fbo = FBONonLocal(5, 7, 4, 1, 6, zero_init_out_conv=True).double().eval()
    assert isinstance(fbo.st_feat_conv, nn.Conv3d)
    x = drawn(2, 5, 1, 1, 1)
    torch.testing.assert_close(fbo(x, drawn(2, 7, 6, 1, 1)), fbo.st_feat_conv(x))
