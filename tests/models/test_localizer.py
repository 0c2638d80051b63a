import gzip
import json

import pytest
import torch
from torch import nn

from tests.paths import ROOT
from vidrec.models.localizer import BMN, PEM, TEM
from vidrec.weights.load import load_weights

MODELS = ROOT / "tests" / "golden" / "models"


def small_bmn(**changes):
    torch.manual_seed(0)
    arguments = {
        "temporal_dim": 12,
        "feat_dim": 8,
        "num_samples": 4,
        "hidden_dim_1d": 8,
        "hidden_dim_2d": 6,
        "hidden_dim_3d": 10,
        "post_process_top_k": 5,
    }
    return BMN(**arguments | changes)


def batch(num=3, channels=8, length=12):
    window = torch.tensor([[0.0, 60.0]], dtype=torch.float64).repeat(num, 1)
    return {"feature": torch.randn(num, channels, length), "window": window}


@pytest.mark.parametrize(
    ("stem", "net"),
    [
        ("bmn_2xb8-400x100-9e_activitynet-feature", lambda: BMN(100, 400)),
        ("bsn_tem_1xb16-400x100-20e_activitynet-feature", lambda: TEM(100, 400)),
        ("bsn_pem_1xb16-400x100-20e_activitynet-feature", lambda: PEM()),
    ],
)
def test_names_and_shapes_are_those_of_published_checkpoints(stem, net):
    golden = json.loads(gzip.decompress((MODELS / f"{stem}.json.gz").read_bytes()))
    with torch.device("meta"):
        ours = {name: list(t.shape) for name, t in net().state_dict().items()}
    theirs = {name: shape for name, shape, _ in golden["state_dict"]}
    assert ours == {n: s for n, s in theirs.items() if n not in ("sample_mask", "bm_mask")}


def test_masks_in_published_checkpoints_are_ignored(tmp_path):
    net, other = small_bmn(), small_bmn()
    state = {name: torch.randn_like(t) for name, t in net.state_dict().items()}
    masks = {"sample_mask": torch.zeros(12, 4 * 144), "bm_mask": torch.zeros(12, 12)}
    torch.save({"state_dict": masks | state, "meta": {}}, tmp_path / "published.pth")
    report = load_weights(other, tmp_path / "published.pth", min_backbone=1.0)
    assert not report.missing
    assert sorted(report.unused) == ["bm_mask", "sample_mask"]
    for name, tensor in other.state_dict().items():
        torch.testing.assert_close(tensor, state[name])


def test_confidences_equal_those_of_the_plain_layers():
    net = small_bmn().double()
    features = torch.randn(2, 8, 12, dtype=torch.float64)
    matched, activate = net.x_3d_p
    # A convolution over what a dense mask samples, as the network is published.
    dense = net.matching(
        torch.eye(12, dtype=torch.float64)[None],
        torch.eye(48, dtype=torch.float64).view(12, 4, 48).permute(2, 0, 1)[..., None, None],
        torch.zeros(48, dtype=torch.float64),
    )[0]  # (cells, position * sample)
    mask = net.matching.spread(dense[None], torch.zeros(48))[0].unflatten(0, (12, 4))
    sampled = torch.einsum("nct,tsde->ncsde", features, mask)
    plain = net.x_2d_p(activate(matched(sampled)).squeeze(2))
    torch.testing.assert_close(net.confidence(features), plain)


@pytest.mark.parametrize("net", [small_bmn(), TEM(12, 8, 16)], ids=["bmn", "tem"])
def test_segments_of_a_padded_sequence_end_with_the_video(net):
    padded = batch(2)
    padded["window"][1, 0] = 100.0
    padded["video_end"] = torch.tensor([60.0, 111.0], dtype=torch.float64)  # of 160: 3 places
    found = net.eval().predict(padded)
    whole = net.predict(batch(1) | {"feature": padded["feature"][:1]})
    count = int(whole["count"][0])
    assert found["count"][0] == count
    torch.testing.assert_close(found["segments"][0, :count], whole["segments"][0, :count])
    assert found["count"][1] > 0
    start, end = found["segments"][1, : found["count"][1]].unbind(-1)
    assert start.min() >= 100
    assert end.max() <= 111
    assert (start < end).all()
    assert (found["scores"][1].diff() <= 0).all()


def test_every_parameter_learns():
    net = small_bmn()
    out = net(batch())
    sum(value.sum() for value in out.values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
    assert {name: tuple(v.shape) for name, v in out.items()} == {
        "start": (3, 12),
        "end": (3, 12),
        "iou_map": (3, 2, 12, 12),
    }


def test_half_precision_gives_float32_probabilities():
    net, data = small_bmn(), batch()
    whole = net(data)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = net(data)
    for name, value in half.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, whole[name], atol=0.02, rtol=0.02)


def test_predictions_lie_in_the_window():
    data = batch()
    data["window"] = torch.tensor([[0.0, 10.0], [100.0, 20.0], [5.0, 1.0]], dtype=torch.float64)
    found = small_bmn().eval().predict(data)
    assert found["segments"].shape == (3, 5, 2)
    for row, (begin, span) in enumerate(data["window"].tolist()):
        segments = found["segments"][row, : int(found["count"][row])]
        assert (segments >= begin).all()
        assert (segments <= begin + span).all()
        assert (segments[:, 1] > segments[:, 0]).all()
    assert (found["scores"][:, 1:] <= found["scores"][:, :-1]).all()


def test_a_wrong_length_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"length 9.*temporal_dim=12.*data\.resize=true"):
        small_bmn()(batch(length=9))
    with pytest.raises(ValueError, match="feat_dim=30"):
        small_bmn(feat_dim=30)


def test_pem_ignores_padding():
    net = PEM(pem_feat_dim=4, pem_hidden_dim=3, post_process_top_k=4)
    data = {
        "proposal": torch.tensor([[[0.1, 0.4, 0.9, 0.8], [0.5, 0.7, 0.3, 0.5], [0, 0, 0, 0]]]),
        "proposal_feature": torch.rand(1, 3, 4),
        "num_proposals": torch.tensor([2]),
        "window": torch.tensor([[0.0, 10.0]], dtype=torch.float64),
    }
    found = net.predict(data)
    assert found["count"].tolist() == [2]
    iou = net(data)["iou"][0].double()
    torch.testing.assert_close(found["scores"][0, 0], (torch.tensor(0.9 * 0.8) * iou[0]).double())
    torch.testing.assert_close(found["segments"][0, 0], torch.tensor([1.0, 4.0]).double())


def test_tem_is_three_convolutions():
    torch.manual_seed(0)
    net = TEM(7, 5, 6)
    x = torch.randn(2, 5, 7)
    plain = nn.Sequential(net.conv1, nn.ReLU(), net.conv2, nn.ReLU(), net.conv3)(x)
    out = net({"feature": x})
    torch.testing.assert_close(out["start"], (plain[:, 1] / 100).sigmoid())
