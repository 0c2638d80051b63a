"""TSM on a stream: frame by frame it is the unidirectional network over the whole clip."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vidrec.models.backbones.resnet import ResNet
from vidrec.models.backbones.tanet import TANet
from vidrec.models.backbones.tsm import MobileNetV2TSM, MobileOneTSM, ResNetTSM
from vidrec.models.heads.trn import TRNHead
from vidrec.models.heads.tsm import TSMHead
from vidrec.models.heads.tsn import TSNHead
from vidrec.models.layers.temporal_shift import TemporalShift, temporal_shift
from vidrec.models.online_tsm import OnlineTSM
from vidrec.models.recognizer import Recognizer2D, Recognizer3D

MEAN, STD = [120.0, 110.0, 100.0], [58.0, 57.0, 56.0]
BACKBONES = {
    "resnet": lambda **o: (ResNetTSM(18, num_stages=2, bidirectional=False, **o), 128),
    "whole blocks": lambda **o: (
        ResNetTSM(18, num_stages=2, shift_place="block", bidirectional=False, **o),
        128,
    ),
    "mobilenet": lambda **o: (MobileNetV2TSM(widen_factor=0.25, bidirectional=False, **o), 1280),
    "mobileone": lambda **o: (
        MobileOneTSM("s0", bidirectional=False, **o).eval().switch_to_deploy(),
        1024,
    ),
}


def network(backbone="resnet", frames=4, head=TSMHead, **options):
    """A unidirectional network whose scores tell frames apart, in float64."""
    torch.manual_seed(0)
    backbone, channels = BACKBONES[backbone](num_segments=frames, **options)
    net = Recognizer2D(backbone, head(5, channels, init_std=1.0), MEAN, STD).eval().double()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
    return net


def video(streams=2, frames=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (streams, 1, frames, 32, 40, 3), generator=generator)


def offline(net, clips):
    """Logits of clips (B, 1, n, H, W, C) of any length n."""
    for module in net.modules():
        if isinstance(module, TemporalShift):
            module.num_segments = clips.shape[2]
    with torch.no_grad():
        return net({"video": clips})["logits"][:, 0]


def steps(online, clips):
    return [online.step(frame) for frame in clips[:, 0].unbind(1)]


def test_unidirectional_shift_by_hand():
    # Three frames of four channels; the value says frame and channel.
    x = torch.tensor([[1, 2, 3, 4], [11, 12, 13, 14], [21, 22, 23, 24]]).view(3, 4, 1, 1)
    shifted = temporal_shift(x, 3, 4, bidirectional=False)[:, :, 0, 0]
    assert shifted.tolist() == [[0, 2, 3, 4], [1, 12, 13, 14], [11, 22, 23, 24]]
    wide = torch.randn(6, 16, 2, 2).contiguous(memory_format=torch.channels_last)
    shifted = temporal_shift(wide, 3, 8, bidirectional=False)
    assert shifted.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(shifted, temporal_shift(wide.contiguous(), 3, 8, bidirectional=False))


def test_no_frame_depends_on_a_later_one():
    backbone, _ = BACKBONES["resnet"](num_segments=6)
    x = torch.randn(6, 3, 32, 32)
    changed = x.clone()
    changed[3] += 1
    difference = (backbone.eval()(changed) - backbone(x)).abs().amax(dim=(1, 2, 3))
    assert (difference[:3] == 0).all()
    assert (difference[3:] > 0).all()


@pytest.mark.parametrize(
    ("backbone", "head"), [*((name, TSMHead) for name in BACKBONES), ("resnet", TSNHead)]
)
def test_scores_of_each_frame_equal_those_of_the_clip_so_far(backbone, head):
    net, clips = network(backbone, head=head), video()
    online = steps(OnlineTSM(net), clips)
    for n, logits in enumerate(online, start=1):
        expected = offline(net, clips[:, :, :n])
        assert expected.std() > 0.01
        torch.testing.assert_close(logits, expected, rtol=1e-12, atol=1e-12)


def test_in_single_precision_to_a_millionth_of_the_largest_score():
    net, clips = network().float(), video()
    *_, logits = steps(OnlineTSM(net), clips)
    expected = offline(net, clips)
    assert (logits - expected).abs().max() < 1e-6 * expected.abs().max()


def test_beyond_a_clip_the_last_frames_of_all_so_far_are_averaged():
    net, clips = network(frames=3), video(frames=7)
    *_, logits = steps(OnlineTSM(net), clips)
    # Scores of a single frame: what the mean over n frames gains with the last one.
    means = [n * offline(net, clips[:, :, :n]) for n in range(4, 8)]
    torch.testing.assert_close(logits, (means[3] - means[0]) / 3, rtol=1e-12, atol=1e-12)
    assert (logits - offline(net, clips[:, :, 4:])).abs().max() > 1e-3  # these began anew


def test_a_frame_costs_a_frame():
    net, clips = network(frames=4), video(streams=1)
    online = OnlineTSM(net)
    with FlopCounterMode(display=False) as of_clip:
        offline(net, clips)
    with FlopCounterMode(display=False) as of_frame:
        online.step(clips[:, 0, 0])
    assert of_clip.get_total_flops() == 4 * of_frame.get_total_flops() > 0


def test_streams_are_independent_and_reset_forgets():
    net, clips = network(), video(streams=3)
    online = OnlineTSM(net)
    together = steps(online, clips)
    online.reset()
    alone = steps(online, clips[1:2])
    for all_streams, one in zip(together, alone, strict=True):
        torch.testing.assert_close(all_streams[1:2], one, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match=r"another shape .* reset\(\)"):
        online.step(clips[:2, 0, 0])


def test_the_network_itself_stays_as_it_was_and_shares_its_weights():
    net, clips = network(), video()
    before = offline(net, clips)
    online = OnlineTSM(net)
    steps(online, clips)
    assert torch.equal(offline(net, clips), before)
    assert {id(p) for p in online.net.parameters()} == {id(p) for p in net.parameters()}


def test_memory_does_not_grow_with_the_stream():
    net = network(frames=2).float()
    online = OnlineTSM(net)
    sizes = []
    for n in range(5):
        online.step(video(streams=1, frames=1, seed=n)[:, 0, 0])
        kept = [*online._scores, *(shift.previous for shift in online.shifts)]
        sizes.append(sum(tensor.untyped_storage().nbytes() for tensor in kept))
    assert sizes[1:] == sizes[1:2] * 4
    assert sizes[1] == sum(tensor.nbytes for tensor in kept)  # no views of whole feature maps


REFUSED = {
    "bidirectional": lambda: Recognizer2D(ResNetTSM(18), TSMHead(5, 512), MEAN, STD),
    "has no temporal shifts": lambda: Recognizer2D(ResNet(18), TSNHead(5, 512), MEAN, STD),
    "TANet has no temporal shifts": lambda: Recognizer2D(TANet(18), TSMHead(5, 512), MEAN, STD),
    "NonLocalBlock needs the frames of a whole clip": lambda: Recognizer2D(
        ResNetTSM(
            18, bidirectional=False, non_local=[[0, 0], [0, 1], [0, 0], [0, 0]]
        ),
        TSMHead(5, 512), MEAN, STD,
    ),
    "TRNHead needs the frames of a whole clip": lambda: Recognizer2D(
        ResNetTSM(18, bidirectional=False), TRNHead(5, 512), MEAN, STD
    ),
    "Recognizer3D cannot classify": lambda: Recognizer3D(
        nn.Identity(), TSMHead(5, 512), MEAN, STD
    ),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_networks_that_need_a_whole_clip_are_refused(reason):
    with torch.device("meta"):
        net = REFUSED[reason]()
    with pytest.raises(ValueError, match=reason):
        OnlineTSM(net)
