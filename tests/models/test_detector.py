"""A detector as a whole, on a tiny network: batches, views, sizes, ranks without boxes."""

import pytest
import torch
from torch import nn

from vidrec.data.boxes.collate import collate_boxes
from vidrec.losses.boxes import ActionLoss
from vidrec.models.assigner import MaxIoUAssigner, RandomSampler
from vidrec.models.detector import FastRCNN
from vidrec.models.heads.acrn import ACRNHead
from vidrec.models.heads.bbox_head import BBoxHead, pool_box
from vidrec.models.heads.fbo import FBOHead, FBONonLocal
from vidrec.models.heads.roi_extractor import SingleRoIExtractor3D
from vidrec.models.heads.roi_head import RoIHead

NUM_CLASSES, STRIDE = 5, 8


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(3, 6, (3, 9, 9), (1, STRIDE, STRIDE), (1, 4, 4))
        self.seen = []

    def forward(self, x):
        self.seen.append(tuple(x.shape))
        return self.conv(x).relu()


@pytest.fixture
def net():
    torch.manual_seed(0)
    head = RoIHead(
        SingleRoIExtractor3D(3, STRIDE),
        BBoxHead(6, NUM_CLASSES, background_class=True),
    )
    nn.init.normal_(head.bbox_head.fc_cls.weight)
    sampler = RandomSampler(32, 1.0)
    net = FastRCNN(Backbone(), head, MaxIoUAssigner(0.9, 0.9, 0.9), sampler, [114.0], [58.0])
    return net.eval()


def sample(seed, size=(48, 64), views=1, boxes=2, truth=1):
    """A sample as the dataset gives it; every box is shown by every view."""
    g = torch.Generator().manual_seed(seed)

    def rectangles(count):
        corner = torch.rand(count, 2, generator=g) * 20
        return torch.cat([corner, corner + 8 + 12 * torch.rand(count, 2, generator=g)], dim=1)

    proposals, true = rectangles(boxes), rectangles(truth)
    labels = (torch.rand(truth, NUM_CLASSES, generator=g) < 0.6).float()
    if truth:
        labels[:, 0], labels[:, 1] = 0, 1
    video = torch.randint(0, 256, (1, views, 4, *size, 3), generator=g, dtype=torch.uint8)
    return {
        "video": video.numpy(),
        "size": torch.tensor([size]).numpy(),
        "boxes": proposals.repeat(views, 1).numpy(),
        "box_view": torch.arange(views).repeat_interleave(boxes).numpy(),
        "box_proposal": torch.arange(boxes).repeat(views).numpy(),
        "proposals": (proposals / 64).numpy(),
        "proposal_sample": torch.zeros(boxes).long().numpy(),
        "gt_boxes": true.numpy(),
        "gt_sample": torch.zeros(truth).long().numpy(),
        "gt_labels": labels.numpy(),
        "index": torch.tensor([seed]).numpy(),
    }


def test_clips_of_several_sizes_in_a_batch_score_like_each_alone(net):
    sizes = [(48, 64), (40, 80), (48, 64), (64, 40)]
    samples = [sample(i, size) for i, size in enumerate(sizes)]
    for one, (height, width) in zip(samples, sizes, strict=True):
        one["boxes"][0] = [0, 0, width, height]  # reaches where the padding begins
    together = net.predict(collate_boxes(samples))
    assert together["sample"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    # Those of one size ran at once.
    assert sorted(shape[0] for shape in net.backbone.seen) == [1, 1, 2]
    alone = [net.predict(collate_boxes([one])) for one in samples]
    for name in ("scores", "proposals"):
        torch.testing.assert_close(together[name], torch.cat([one[name] for one in alone]))


def test_max_test_images_bounds_a_forward_pass(net):
    batch = collate_boxes([sample(i) for i in range(5)])
    whole = net.predict(batch)["scores"]
    net.max_test_images = 8  # two clips of four frames
    net.backbone.seen.clear()
    torch.testing.assert_close(net.predict(batch)["scores"], whole)
    assert [shape[0] for shape in net.backbone.seen] == [2, 2, 1]


def test_views_of_a_proposal_are_averaged_and_proposals_in_no_view_left_out(net):
    views = collate_boxes([sample(0, views=3)])
    apart = []
    for view in range(3):
        one = sample(0, views=3)
        part = {"video": one["video"][:, view : view + 1]}
        for name in ("boxes", "box_proposal"):
            part[name] = one[name][one["box_view"] == view]
        part["box_view"] = one["box_view"][one["box_view"] == view] * 0
        apart.append(net.predict(collate_boxes([one | part]))["scores"])
    torch.testing.assert_close(net.predict(views)["scores"], torch.stack(apart).mean(dim=0))
    hidden = sample(0)
    hidden |= {name: hidden[name][1:] for name in ("boxes", "box_view", "box_proposal")}
    found = net.predict(collate_boxes([hidden]))
    assert found["scores"].shape == (1, NUM_CLASSES)
    torch.testing.assert_close(found["proposals"][0], torch.tensor(hidden["proposals"][1]))


def test_training_boxes_are_the_ground_truth_and_matching_proposals(net):
    one = sample(3, boxes=3, truth=2)
    one["boxes"][1] = one["gt_boxes"][0] + 0.1
    batch = collate_boxes([sample(1, boxes=0, truth=1), one])
    out = net.train()(batch)
    labels = batch["gt_labels"]
    # By clip: its true boxes, the proposals that fit, then background without any label.
    expected = [labels[0], labels[1], labels[2], labels[1], labels[0] * 0, labels[0] * 0]
    torch.testing.assert_close(out["labels"], torch.stack(expected))
    assert out["annotated"].tolist() == [True] * 4 + [False] * 2
    assert out["logits"].shape == (6, NUM_CLASSES)
    again = net.roi_head(
        net.backbone(net._clips(batch["video"])),
        torch.cat([batch["gt_boxes"][:1], batch["gt_boxes"][1:], batch["boxes"][1:2]]),
        torch.tensor([0, 1, 1, 1]),
    )
    torch.testing.assert_close(out["logits"][:4], again)


def test_clips_without_boxes_give_finite_gradients_to_all_parameters(net):
    """Other ranks wait for the gradients of every parameter."""
    batch = collate_boxes([sample(0, boxes=0, truth=0), sample(1, boxes=0, truth=0)])
    net.train()
    loss = ActionLoss()(net(batch), batch)["loss"]
    loss.backward()
    assert loss == 0
    assert all(p.grad is not None and not p.grad.any() for p in net.parameters())
    assert len(net.eval().predict(batch)["scores"]) == 0


@pytest.mark.parametrize(
    "shared", [ACRNHead(12, 6), FBOHead(FBONonLocal(6, 2, 3, 1, 4))], ids=["acrn", "fbo"]
)
def test_clips_without_boxes_pass_every_shared_head(net, shared):
    net.roi_head.shared_head = shared
    if isinstance(shared, FBOHead):
        net.roi_head.bbox_head = BBoxHead(9, NUM_CLASSES, background_class=True)
    batch = collate_boxes([sample(0, boxes=0, truth=0)]) | {"bank": torch.rand(1, 4, 2)}
    ActionLoss()(net.train()(batch), batch)["loss"].backward()
    assert all(torch.isfinite(buffer).all() for buffer in net.buffers())
    assert all(p.grad is not None and not p.grad.any() for p in net.parameters())


def test_the_order_of_the_samples_does_not_matter_to_the_loss(net):
    samples = [sample(i, boxes=i, truth=2) for i in range(3)]
    net.train()
    losses = []
    for order in ([0, 1, 2], [2, 0, 1]):
        batch = collate_boxes([samples[i] for i in order])
        losses.append(ActionLoss()(net(batch), batch)["loss"])
    torch.testing.assert_close(losses[0], losses[1])


def test_features_for_a_bank_are_those_of_the_boxes(net):
    batch = collate_boxes([sample(0), sample(1, (40, 80))])
    rows = net.features(batch)
    one = collate_boxes([sample(1, (40, 80))])
    cut, _ = net.roi_head.bbox_roi_extractor(
        net.backbone(net._clips(one["video"])), one["boxes"], one["box_view"]
    )
    torch.testing.assert_close(rows[2:], pool_box(cut))


def test_a_shared_head_sees_the_bank_of_its_clip(net):
    class Adds(nn.Module):
        def forward(self, x, joined, views, bank):
            return x + bank.mean(dim=(1, 2))[views, None, None, None, None]

    net.roi_head.shared_head = Adds()
    batch = collate_boxes([sample(0), sample(1, (40, 80)), sample(2)])
    bank = torch.arange(3.0)[:, None, None].expand(3, 4, 2) / 2
    scores = net.predict(batch | {"bank": bank})["scores"]
    net.roi_head.shared_head = None
    # What is added to all features of a box moves its logits by so many rows of the classifier.
    moved = net.predict(batch)["scores"].logit() + (
        torch.tensor([0, 0.5, 1]).repeat_interleave(2)[:, None]
        * net.roi_head.bbox_head.fc_cls.weight.sum(dim=1)
    )
    torch.testing.assert_close(scores.logit(), moved, rtol=1e-3, atol=1e-3)


def test_every_view_and_every_training_box_sees_the_bank_of_its_clip(net):
    class Bank(nn.Module):
        def forward(self, x, joined, views, bank):
            return bank[views].mean(dim=1)[:, :, None, None, None].expand_as(x)

    net.roi_head.shared_head = Bank()
    bank = torch.arange(2.0)[:, None, None].expand(2, 4, 6)
    expected = net.roi_head.bbox_head.fc_cls(torch.arange(2.0)[:, None].expand(2, 6))
    batch = collate_boxes([sample(0, views=3), sample(1, views=3)]) | {"bank": bank}
    scores = net.predict(batch)["scores"]
    torch.testing.assert_close(scores, expected.sigmoid().repeat_interleave(2, dim=0))
    batch = collate_boxes([sample(0), sample(1)]) | {"bank": bank}
    logits = net.train()(batch)["logits"]
    torch.testing.assert_close(logits, expected.repeat_interleave(3, dim=0))


def test_bf16(net):
    batch = collate_boxes([sample(0), sample(1)])
    with torch.autocast("cpu", torch.bfloat16):
        out = net.train()(batch)
        loss = ActionLoss()(out, batch)["loss"]
    assert loss.dtype == torch.float32
    loss.backward()
    assert torch.isfinite(loss)
    scores = net.eval().predict(batch)["scores"]
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(net.predict(batch)["scores"], scores, rtol=0.05, atol=0.05)


def test_several_views_in_training_are_refused(net):
    batch = collate_boxes([sample(0, views=3)])
    with pytest.raises(ValueError, match=r"3 views.*ThreeCrop.*data\.transforms\.train"):
        net.train()(batch)


def test_a_limit_below_one_frame_is_refused(net):
    with pytest.raises(ValueError, match="max_test_images=0 is less than 1"):
        FastRCNN(net.backbone, net.roi_head, net.assigner, net.sampler, [1.0], [1.0], 0)
