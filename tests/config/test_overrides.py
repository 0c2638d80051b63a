"""Each way of changing a configuration that docs/config.md lists reaches the object that runs."""

import pytest

from vidrec import build
from vidrec.data.clips.sampling import DenseSampleFrames, SampleFrames
from vidrec.data.transforms.geometric import Flip, MultiScaleCrop, Resize


@pytest.fixture
def dataset(compose, tmp_path):
    """Builds the training dataset of a command line, with a list of one video."""
    (tmp_path / "train.txt").write_text("a.mp4 0\n")
    (tmp_path / "val.txt").write_text("a.mp4 0\n")

    def build_train(*overrides, split="train"):
        return build.build_dataset(compose(f"data.root={tmp_path}", *overrides).data, split)

    return build_train


def test_key_of_a_dict(compose):
    assert build.build_net(compose("model.net.backbone.norm_eval=true").model).backbone.norm_eval


def test_value_of_a_list_and_one_element_of_it(compose):
    net = build.build_net(compose("model.net.mean=[1,2,3]", "model.net.std=[1,1,1]").model)
    assert net.shift.tolist() == [-1, -2, -3]
    net = build.build_net(compose("model.net.mean.1=7", "model.net.std.1=2").model)
    assert net.shift[1] == -3.5


def test_milestone_by_its_position(compose):
    changed = compose("schedule=sgd_100e", "schedule.lr.drop.milestones.0=30")
    assert changed.schedule.lr["drop"]["milestones"] == [30, 80]


def test_sampler_by_group_and_by_target(dataset):
    assert type(dataset().sampling) is SampleFrames
    assert type(dataset("data/sampling=dense").sampling) is DenseSampleFrames
    changed = "data.sampling.train._target_=vidrec.data.clips.sampling.DenseSampleFrames"
    assert type(dataset(changed).sampling) is DenseSampleFrames
    assert type(dataset(changed, split="val").sampling) is SampleFrames


def test_clip_of_the_model_reaches_the_sampler(dataset):
    assert dataset("model.clip.clips=8").sampling.num_clips == 8
    assert dataset("model.clip.test_clips=4", split="test").sampling.num_clips == 4


def test_step_of_a_pipeline_by_name(dataset):
    steps = dataset("data.transforms.train.crop.num_fixed_crops=13").transforms.steps
    assert [type(step) for step in steps.values()] == [Resize, MultiScaleCrop, Resize, Flip]
    assert steps["crop"].num_fixed_crops == 13


@pytest.mark.parametrize("drop", ["data.transforms.train.flip=null", "~data.transforms.train.flip"])
def test_dropped_step(dataset, drop):
    assert list(dataset(drop).transforms.steps) == ["resize", "crop", "resize_crop"]


def test_added_step_goes_last(dataset):
    step = "{_target_: vidrec.data.transforms.photometric.ColorJitter}"
    steps = dataset(f"+data.transforms.train.jitter={step}").transforms.steps
    assert list(steps)[-1] == "jitter"
    torchvision = "{_target_: torchvision.transforms.v2.RandomGrayscale, p: 1.0}"
    assert "gray" in dataset(f"+data.transforms.train.gray={torchvision}").transforms.steps


def test_replaced_class(compose):
    image = "_target_: vidrec.models.backbones.image.ImageBackbone, name: alexnet"
    for overrides in (
        [
            "~model.net.backbone",
            f"+model.net.backbone={{{image}, library: torchvision}}",
            "model.net.cls_head.in_channels=256",
        ],
        [
            "model/backbone@model.net.backbone=image",
            "model.net.backbone.name=alexnet",
            "model.net.backbone.library=torchvision",
            "~model.net.backbone.depth",
            "model.net.cls_head.in_channels=256",
        ],
    ):
        names = build.build_net(compose(*overrides).model).backbone.state_dict()
        assert "features.0.weight" in names or "0.weight" in names


def test_replaced_optimizer(compose):
    changed = compose("schedule/optimizer=adamw", "schedule.optimizer.lr=2e-3")
    optimizer = build.build_optimizer(build.build_net(changed.model), changed.schedule, world=1)
    assert type(optimizer).__name__ == "AdamW"
    assert optimizer.param_groups[0]["lr"] == 2e-3


def test_rules_for_parameters(compose):
    changed = compose(
        "+schedule.param_groups.head={name: cls_head, lr: 5}",
        "+schedule.param_groups.norm={kind: norm, weight_decay: 0}",
    )
    net = build.build_net(changed.model)
    optimizer = build.build_optimizer(net, changed.schedule, world=1)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert rates[id(net.cls_head.fc_cls.weight)] == 0.05
    assert rates[id(net.backbone.conv1.conv.weight)] == 0.01
    assert decays[id(net.backbone.conv1.bn.weight)] == 0
    assert decays[id(net.backbone.conv1.conv.weight)] == 1e-4


def test_learning_rate_follows_the_effective_batch_when_asked(compose):
    plain = ("schedule.batch_size=8", "schedule.base_batch_size=64")
    for overrides, expected in ((plain, 0.01), ((*plain, "schedule.scale_lr=true"), 0.0025)):
        changed = compose(*overrides)
        net = build.build_net(changed.model)
        optimizer = build.build_optimizer(net, changed.schedule, world=2)
        assert optimizer.param_groups[0]["lr"] == expected


def test_number_of_classes_comes_from_the_data(compose):
    net = build.build_net(compose("data=sthv2").model)
    assert net.cls_head.fc_cls.out_features == 174


def test_experiment_wins_over_the_groups_and_the_command_line_over_both(compose):
    stem = "tsn_imagenet-pretrained-r50_8xb32-dense-1x1x5-100e_kinetics400-rgb"
    assert compose(f"experiment={stem}").schedule.optimizer["lr"] == 0.06
    changed = compose(f"experiment={stem}", "schedule.optimizer.lr=0.5", "data=ucf101")
    assert changed.schedule.optimizer["lr"] == 0.5
    assert changed.data.name == "ucf101"
