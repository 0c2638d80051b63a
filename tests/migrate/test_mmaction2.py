"""Published configurations come back as their experiments, changed ones with what was changed."""

import copy
import json

import pytest

from tests.migrate.python_files import write_whole, write_with_bases, write_with_read_base
from vidrec.migrate.checked import checked
from vidrec.migrate.command_line import arguments
from vidrec.migrate.mmaction2 import migrate
from vidrec.migrate.published import published
from vidrec.migrate.python_file import read_python

TSN = "tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e_kinetics400-rgb"
SLOWONLY = "slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb"
AVA = "slowonly_kinetics400-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb"
BMN = "bmn_2xb8-400x100-9e_activitynet-feature"
MVIT = "mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb"
SWIN = "swin-tiny-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb"
TRAINED = [stem for stem, config in published().items() if "optim_wrapper" in config]
WRITERS = [write_whole, write_with_bases, write_with_read_base]


def migrated(config, tmp_path, name="mine", write=write_whole):
    found = read_python(write(config, tmp_path / f"{name}.py"))
    return migrate(found.values, name, found.read)


def changed(stem, change):
    config = copy.deepcopy(published()[stem])
    change(config)
    return config


def splits(config):
    return [config[f"{split}_dataloader"]["dataset"] for split in ("train", "val", "test")]


def step(dataset, *kinds):
    return next(step for step in dataset["pipeline"] if step["type"] in kinds)


@pytest.mark.parametrize(
    "stem",
    [
        pytest.param(stem, marks=[] if stem in (SWIN, BMN) else [pytest.mark.slow])
        for stem in published()
    ],
)
def test_a_published_configuration_is_its_experiment(stem, tmp_path):
    write = WRITERS[len(stem) % 3]
    result = migrated(published()[stem], tmp_path, name=stem, write=write)
    assert arguments(result) == [f"experiment={stem}"]
    assert result.missing == []


@pytest.mark.slow
@pytest.mark.parametrize("stem", TRAINED[::5])
def test_another_rate_batch_size_and_checkpoint_are_overrides(stem, tmp_path):
    def change(config):
        config["optim_wrapper"]["optimizer"]["lr"] = 0.0123
        config["train_dataloader"]["batch_size"] = 5
        config["load_from"] = "work/best.pth"

    result = migrated(changed(stem, change), tmp_path, name=stem)
    assert result.missing == []
    assert sorted(arguments(result)) == [
        f"experiment={stem}",
        "model.weights=work/best.pth",
        "schedule.batch_size=5",
        "schedule.optimizer.lr=0.0123",
    ]


def another_training(config):
    """What people change most, at once."""
    moved = json.loads(json.dumps(config).replace("data/kinetics400", "/disk/k400"))
    config |= moved
    config["model"]["backbone"].update(depth=101, frozen_stages=1)
    config["model"]["cls_head"]["num_classes"] = 12
    config["optim_wrapper"]["optimizer"]["lr"] = 0.005
    config["optim_wrapper"]["type"] = "AmpOptimWrapper"
    config["train_cfg"]["max_epochs"] = 50
    config["param_scheduler"][0].update(end=50, milestones=[20, 40])
    config["load_from"] = "https://host/tsn-12345678.pth"
    for dataset in splits(config):
        step(dataset, "SampleFrames").update(clip_len=2, frame_interval=4)
    pipeline = config["train_dataloader"]["dataset"]["pipeline"]
    pipeline[:] = [s for s in pipeline if s["type"] != "Flip"]
    pipeline.insert(-2, {"type": "ColorJitter", "brightness": 0.3})


def test_what_was_changed_becomes_overrides_that_compose_to_it(tmp_path, compose):
    result = migrated(changed(TSN, another_training), tmp_path)
    assert result.missing == []
    assert sorted(arguments(result)) == sorted(
        [
            f"experiment={TSN}",
            "data.root=/disk/k400",
            "data.num_classes=12",
            "data.transforms.train.flip=null",
            "+data.transforms.train.color_jitter={_target_:vidrec.data.transforms.photometric."
            "ColorJitter,brightness:0.3}",
            "model.clip.frames=2",
            "model.clip.interval=4",
            "model.net.backbone.depth=101",
            "model.net.backbone.frozen_stages=1",
            "model.weights=https://host/tsn-12345678.pth",
            "schedule.epochs=50",
            "schedule.lr.drop.end=50",
            "schedule.lr.drop.milestones=[20,40]",
            "schedule.optimizer.lr=0.005",
            "runtime.precision=fp16",
        ]
    )
    conf = compose(*arguments(checked(result)))
    assert conf.model.net["backbone"]["depth"] == 101
    assert conf.model.net["cls_head"]["num_classes"] == 12
    for split in (conf.data.train, conf.data.val, conf.data.test):
        assert split["sampling"]["clip_len"] == 2
        assert split["sampling"]["frame_interval"] == 4
        assert split["records"]["path"].startswith("/disk/k400/kinetics400_")
        assert split["prefix"].startswith("/disk/k400/videos_")
    steps = [step["_target_"].rsplit(".")[-1] for step in conf.data.train["steps"].values() if step]
    assert steps == ["Resize", "MultiScaleCrop", "Resize", "ColorJitter"]
    assert conf.schedule.lr["drop"]["milestones"] == [20, 40]
    assert (conf.schedule.epochs, conf.schedule.optimizer["lr"]) == (50, 0.005)


def set_in(*path, value):
    def change(config):
        node = config
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value

    return change


def in_training_only(config):
    step(splits(config)[0], "SampleFrames")["clip_len"] = 16


def densely(config):
    for dataset in splits(config):
        step(dataset, "SampleFrames")["type"] = "DenseSampleFrames"


def frames(config):
    for dataset in splits(config):
        dataset["type"] = "RawframeDataset"
        dataset["data_prefix"] = {"img": dataset["data_prefix"]["video"].replace("video", "frame")}
        dataset["ann_file"] = dataset["ann_file"].replace("videos", "rawframes")
        for reader in dataset["pipeline"]:
            if reader["type"] == "DecordDecode":
                reader["type"] = "RawFrameDecode"


def smaller(config):
    for dataset in splits(config):
        for one in dataset["pipeline"]:
            for key, value in one.items():
                one[key] = {"224": 192, "[224, 224]": [192, 192]}.get(str(value), value)


def in_other_areas(config):
    pipeline = config["train_dataloader"]["dataset"]["pipeline"]
    place = next(i for i, s in enumerate(pipeline) if s["type"] == "MultiScaleCrop")
    pipeline[place] = {"type": "RandomResizedCrop"}


def without_a_test(config):
    del config["test_dataloader"], config["test_evaluator"], config["test_cfg"]
    config["val_dataloader"]["dataset"]["ann_file"] = "my/val.txt"


def by_name(config):
    rules = {"backbone.conv1": {"lr_mult": 0.1}}
    config["optim_wrapper"]["paramwise_cfg"] = {"custom_keys": rules, "norm_decay_mult": 0}


def adamw(config):
    config["optim_wrapper"]["optimizer"] = {"type": "AdamW", "lr": 3e-4, "weight_decay": 0.05}


def of_timm(config):
    config["model"]["backbone"] = {"type": "timm.convnext_tiny", "pretrained": True}
    config["model"]["cls_head"]["in_channels"] = 768


def other_ava_root(config):
    config |= json.loads(json.dumps(config).replace("data/ava", "/disk/ava"))


def persons(config):
    splits_ = config["train_dataloader"]["dataset"]
    splits_["person_det_score_thr"] = 0.8


CASES = [
    (SLOWONLY, in_training_only, ["data.sampling.train.clip_len=16"]),
    (SLOWONLY, densely, ["data/sampling=dense"]),
    (TSN, frames, ["data/format=rawframes", "data.folder=frames"]),
    (TSN, smaller, ["model.clip.size=192"]),
    (TSN, in_other_areas, ["data/transforms=random_resized"]),
    (TSN, without_a_test, ["data.val.records.path=my/val.txt"]),
    (TSN, by_name, ["+schedule.param_groups.backbone_conv1={name:'backbone\\.conv1',lr:0.1}",
                    "+schedule.param_groups.norm={kind:norm,weight_decay:0}"]),
    (TSN, adamw, ["schedule/optimizer=adamw", "schedule.optimizer.lr=0.0003"]),
    (TSN, set_in("model", "data_preprocessor", "mean", value=(128, 128, 128)),
     ["model.net.mean=[128,128,128]"]),
    (TSN, set_in("test_dataloader", "dataset", "ann_file", value="my/test.txt"),
     ["data.test.records={_target_:vidrec.data.clips.annotations.read_video_list,"
      "delimiter:${data.train.records.delimiter},multi_label:${data.multi_label},"
      "multi_hot:${data.multi_hot},path:my/test.txt,num_classes:${data.num_classes}}"]),
    (TSN, lambda config: config["optim_wrapper"].pop("clip_grad"), ["schedule.clip_norm=null"]),
    (AVA, other_ava_root, ["data.root=/disk/ava"]),
    (AVA, persons, ["data.train.records.person_det_score_thr=0.8",
                    "data.val.records.person_det_score_thr=0.9"]),
    (BMN, set_in("model", "feat_dim", value=512), ["data.feat_dim=512"]),
    (MVIT, set_in("model", "data_preprocessor", "blending", value=None), ["schedule.mixing=null"]),
    (MVIT, set_in("model", "cls_head", "label_smooth_eps", value=0.2),
     ["model.loss.label_smoothing=0.2"]),
    (SWIN, lambda config: config["optim_wrapper"].pop("type"), ["runtime.precision=fp32"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("stem", "change", "expected"),
    [*(pytest.param(*case, marks=pytest.mark.slow) for case in CASES)],
)
def test_a_single_change_is_a_single_override(stem, change, expected, tmp_path):
    result = migrated(changed(stem, change), tmp_path)
    assert result.missing == []
    assert arguments(result) == [f"experiment={stem}", *expected]
    assert checked(result).problem is None
    assert checked(result).overrides == result.overrides


@pytest.mark.slow
def test_a_network_of_timm_takes_the_place_of_the_backbone(tmp_path, compose):
    result = checked(migrated(changed(TSN, of_timm), tmp_path))
    backbone = compose(*arguments(result)).model.net["backbone"]
    assert (backbone["library"], backbone["name"]) == ("timm", "convnext_tiny")


def test_what_has_no_counterpart_is_listed(tmp_path):
    def change(config):
        config["custom_hooks"] = [{"type": "MyHook", "n": 3}]
        config["model"]["backbone"]["norm_cfg"] = {"type": "SyncBN"}
        config["model"]["cls_head"]["spatial_type"] = "max"
        config["model"]["backbone"]["no_such"] = 1
        config["train_dataloader"]["dataset"]["pipeline"].insert(3, {"type": "Imgaug"})
        config["train_dataloader"]["dataset"]["pipeline"][0]["io_backend"] = "petrel"
        config["train_dataloader"]["batch_sampler"] = {"type": "Mine"}
        config["my_unread_name"] = 7

    result = migrated(changed(TSN, change), tmp_path)
    dataset = "train_dataloader.dataset.pipeline"
    assert [row.key for row in result.missing] == [
        "train_dataloader.batch_sampler",
        f"{dataset}.0.io_backend",
        f"{dataset}.3",
        "model.backbone.norm_cfg",
        "model.backbone.no_such",
        "model.cls_head.spatial_type",
        "custom_hooks.0",
    ]
    assert all(row.why for row in result.missing)
    assert [row.key for row in result.notes] == ["my_unread_name"]


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ({"type": "RecognizerGCN", "backbone": {"type": "STGCN"}}, "vidrec has no RecognizerGCN"),
        ({"type": "Recognizer3D", "backbone": {"type": "RGBPoseConv3D"}}, "no RGBPoseConv3D"),
        ({}, "there is no `model` in the file"),
    ],
)
def test_an_algorithm_that_vidrec_does_not_have_is_said(model, problem):
    with pytest.raises(ValueError, match=problem):
        migrate({"model": model}, "mine")
