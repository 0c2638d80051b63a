"""Slips on the command line get the answer in one sentence."""

import shlex
from pathlib import Path

import pytest

from vidrec.config.compose import conf_dir
from vidrec.config.slips import first_slip, other_command
from vidrec.errors import ConfigError

FOLDERS = [Path(conf_dir())]
STEM = "tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e_kinetics400-rgb"

# What somebody types -> what the answer tells to write.
SLIPS = {
    # a group's file given to the key that it fills
    "schedule.optimizer=adamw": "write schedule/optimizer=adamw",
    "data.sampling=dense": "write data/sampling=dense",
    "data.format=rawframes": "write data/format=rawframes",
    "data.views=three_crops": "write data/views=NAME; did you mean 'three_crop'",
    "model.backbone=resnet_tsm": "write model/backbone@model.net.backbone=resnet_tsm",
    "model.net.backbone=resnet_tsm": "write model/backbone@model.net.backbone=resnet_tsm",
    "optimizer=adamw": "write schedule/optimizer=adamw",
    "model/backbone=image": "write model/backbone@model.net.backbone=image",
    "schedule/param_groups=no_decay": "+schedule/param_groups=NAME adds one",
    "~data.transforms.train.flp": "~data.transforms.train.flp drops nothing",
    "~model.loss": "write it anew: '~model.loss' '+model.loss={_target_: ...}'",
    "lr: 0.1": "write schedule.optimizer.lr=0.1",
    "run=runs/x": "such as python evaluate.py",
    "schedule.mixing=mixup": "write schedule/mixing=mixup",
    "schedule.lr=cosine": "write schedule=NAME with one of adamw_100e_cosine",
    "schedule/lr=cosine": "write schedule=NAME with one of adamw_100e_cosine",
    "schedule/optim=adamw": "there is no group schedule/optim",
    # a file in the place of a name, and the reverse
    f"experiment=conf/experiment/{STEM}.yaml": f"write experiment={STEM}",
    f"experiment={STEM}.yaml": f"write experiment={STEM}",
    f"experiment=configs/recognition/tsn/{STEM}.py": f"write experiment={STEM}",
    f"conf/experiment/{STEM}.yaml": f"write experiment={STEM}",
    "experiment=tsn": "(14 in all)",
    "experiment=nothing_like_it": "161 files, such as",
    "model=TSN": "did you mean 'tsn'",
    "model=conf/model/tsn.yaml": "write model=tsn",
    "model=tsn model=tsm": "model is chosen twice, model=tsn and model=tsm",
    "data=/data/ucf101": "write data=ucf101 data.root=/data/ucf101",
    "data=/data/mine": "write data=folders data.root=/data/mine",
    "tsn": "write model=tsn",
    "mine.mp4": "data.root=FOLDER with data=folders",
    "tsn.pth": "model.weights=tsn.pth",
    "config.py": "vidrec migrate config.py",
    "--cfg configs/x.yaml": "(job, hydra or all)",
    # a key without its path, or another project's
    "model.backbone.depth=50": "write model.net.backbone.depth=50",
    "backbone.depth=50": "write model.net.backbone.depth=50",
    "lr=0.01": "write schedule.optimizer.lr=0.01",
    "epochs=3": "write schedule.epochs=3",
    "epoch=3": "write schedule.epochs=3",
    "batch_size=8": "write schedule.batch_size=8",
    "workers=4": "write runtime.num_workers=4",
    "gpus=4": "torchrun --standalone --nproc-per-node=N",
    "work_dir=runs/x": "write hydra.run.dir=runs/x",
    "seed=3": "write runtime.seed=3",
    "amp=true": "write runtime.precision=fp16",
    "mean=[1,2,3]": "write model.net.mean=[1,2,3]",
    "checkpoint=x.pth": "model.weights=FILE",
    "pretrained=true": "write model.weights=...",
    "data.clip_len=8": "write model.clip.frames=8",
    "num_segments=8": "write model.clip.clips=8",
    "model.cls_head.num_classes=5": "write data.num_classes=5",
    "train_dataloader.batch_size=8": "write schedule.batch_size=8",
    "val_dataloader.batch_size=8": "write schedule.val_batch_size=8",
    "optim_wrapper.optimizer.lr=0.1": "write schedule.optimizer.lr=0.1",
    "train_cfg.max_epochs=9": "write schedule.epochs=9",
    "optim_wrapper.optimizer.type=AdamW": "schedule/optimizer=adamw",
    "TRAIN.BATCH_SIZE 8": "write schedule.batch_size=8",
    "SOLVER.BASE_LR=0.1": "write schedule.optimizer.lr=0.1",
    "schedule.optimizer.type=AdamW": "schedule/optimizer=adamw",
    "data.train.path=x.txt": "write data.train.records.path=...",
    "warmup_epochs=5": "schedule=sgd_20e_warmup",
    "experiment=null": "leave it out",
    "schedule/mixing=null": "write schedule.mixing=null",
    # options
    "--epochs 3": "--epochs 3 is not an option: write schedule.epochs=3",
    "--epochs=3": "write schedule.epochs=3",
    "--work-dir runs/x": "write hydra.run.dir=runs/x",
    "--cfg-options model.cls_head.num_classes=5": "write key=value",
    "--resume": "goes on with its last checkpoint",
    "--amp": "write runtime.precision=fp16",
    "--launcher pytorch": "torchrun --standalone",
    "--seed 3": "write runtime.seed=3",
    "--schedule.epochs=3": "write values without hyphens: schedule.epochs=3",
    # values
    "runtime.device=gpu": "write runtime.device=cuda",
    "runtime.device=0": "write runtime.device=cuda",
    "schedule.batch_size=four": "schedule.batch_size=four is not a whole number",
    "data.num_classes=5,": "data.num_classes=5, is not a whole number",
    "runtime.precision=16": "did you mean 'fp16' or 'bf16'",
    "runtime.precision=amp": "write runtime.precision=fp16",
    "runtime.wandb=false": "runtime.dashboard=wandb, tensorboard or none",
    "model.net.mean=(1,2,3)": "write 'model.net.mean=[1,2,3]'",
    "data=folders data.root=/nope": "data.root=/nope: /nope/train does not exist",
    # the form
    "schedule.epochs= 3": "write schedule.epochs=3, without the space",
    "schedule.epochs =3": "write schedule.epochs=3, without the space",
    "'schedule.epochs =3'": "write schedule.epochs=3, without the space",
    "schedule.epochs:3": "write schedule.epochs=3",
    "schedule.epochs 3": "has no '=': write schedule.epochs=3",
    "schedule.epochs=": "has no value: write schedule.epochs=...",
    "schedule.epochs=1,2": "add -m",
    "model=tsn,tsm": "add -m",
    "~wrong.name": "there is no wrong",
    "~schedule.epochs": "set it instead: schedule.epochs=...",
}


@pytest.mark.parametrize("line", SLIPS)
def test_slip_gets_the_answer_in_one_sentence(compose, line):
    with pytest.raises(ConfigError) as raised:
        compose(*shlex.split(line))
    message = str(raised.value)
    assert SLIPS[line] in message
    assert len(message.splitlines()) == 1
    assert len(message) < 420
    assert "++" not in message


def test_what_is_meant_as_it_stands_passes():
    for line in (
        f"experiment={STEM} model=tsn data/format=flow",
        "--cfg job model/backbone@model.net.backbone=image",
        "-m model=tsn,tsm schedule.epochs=1,2 'schedule.optimizer.lr=choice(0.1,0.2)'",
        "hydra.mode=MULTIRUN model=tsn,tsm",
        "schedule.lr=0.1 schedule.clip_norm=null schedule.ema=0.99 runtime.wandb.tags=[a,b]",
        "~data.transforms.train.flip ~model.loss '+schedule.param_groups.x={lr: 2}'",
        "data.root=/data/tsn,1 data.name=1,2 runtime.resume=(1,2)",
        "data.class_names=(1).txt checkpoint=x.pt run=runs/tsn",
        "data.num_classes=${schedule.epochs} -cn train --multirun",
        "data.name=adamw model.net.backbone.name=resnet",
    ):
        assert first_slip(shlex.split(line), FOLDERS) is None


@pytest.mark.parametrize(
    ("argument", "parts"),
    [
        ("data=shapez", ["data=shapez", "did you mean 'shapes'"]),
        ("data/format=rawframe", ["data/format=rawframe", "'rawframes'"]),
        ("runtime=xxxx", ["runtime=xxxx", "there are: debug, default"]),
        ("runtime=0.5", ["runtime=0.5", "there are: debug, default"]),
        ("runtime=[default,debugg]", ["runtime=debugg", "did you mean 'debug'"]),
        ("runtime=", ["runtime=", "there are: debug, default"]),
    ],
)
def test_a_choice_that_names_no_file_gets_the_nearest(argument, parts):
    message = first_slip(["schedule.epochs=3", argument], FOLDERS)
    assert message is not None
    for part in parts:
        assert part in message


def test_the_wrong_choice_of_a_sweep_is_named():
    message = first_slip(["-m", "model=tsn,tms"], FOLDERS)
    assert message is not None
    assert message.startswith("model=tms: there is no conf/model/tms.yaml; did you mean 'tsn'")


def test_choices_of_every_folder_of_configurations_exist(tmp_path):
    (tmp_path / "model" / "own").mkdir(parents=True)
    (tmp_path / "model" / "mine.yaml").write_text("net: 1\n")
    (tmp_path / "model" / "own" / "deep.yaml").write_text("net: 1\n")
    for arguments in (["model=mine"], ["-m", "model=mine,tsn"], ["model=own/deep"]):
        assert first_slip(arguments, FOLDERS) is not None
        assert first_slip(arguments, [*FOLDERS, tmp_path]) is None


def test_names_of_commands_elsewhere():
    assert other_command("test") == "did you mean 'evaluate'?"
    assert other_command("demo") == "did you mean 'predict'?"
    assert other_command("zoo") is None
