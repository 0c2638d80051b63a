"""The full path of a key that was written in part, or as other projects and habit call it."""

import dataclasses
import difflib
import re
import typing
from collections.abc import Iterator, Mapping, Sequence

from vidrec.config.schema import DATA, MODELS, TrainConf

# Last words of a key, in lower case with underscores -> what stands for it here: a key, a key with
# its value, or a sentence. The names are those of MMAction2, PySlowFast and common habit.
_OTHER_NAMES = {
    # the length of a run and its batches
    "max_epochs": "schedule.epochs",
    "max_epoch": "schedule.epochs",
    "num_epochs": "schedule.epochs",
    "n_epochs": "schedule.epochs",
    "epoch": "schedule.epochs",
    "bs": "schedule.batch_size",
    "videos_per_gpu": "schedule.batch_size",
    "samples_per_gpu": "schedule.batch_size",
    "val_dataloader.batch_size": "schedule.val_batch_size",
    "test_dataloader.batch_size": "schedule.test_batch_size",
    "test.batch_size": "schedule.test_batch_size",
    "accumulative_counts": "schedule.accumulate",
    "grad_accum": "schedule.accumulate",
    "gradient_accumulation_steps": "schedule.accumulate",
    "eval_interval": "schedule.val_interval",
    "eval_period": "schedule.val_interval",
    # the optimizer
    "lr": "schedule.optimizer.lr",
    "learning_rate": "schedule.optimizer.lr",
    "base_lr": "schedule.optimizer.lr",
    "weight_decay": "schedule.optimizer.weight_decay",
    "wd": "schedule.optimizer.weight_decay",
    "momentum": "schedule.optimizer.momentum",
    "max_norm": "schedule.clip_norm",
    "clip_grad": "schedule.clip_norm",
    "clip_grad_l2norm": "schedule.clip_norm",
    "grad_clip": "schedule.clip_norm",
    "auto_scale_lr": "schedule.scale_lr=true",
    "auto_scale_lr.enable": "schedule.scale_lr=true",
    "optim": "choose a file of conf/schedule/optimizer, such as schedule/optimizer=adamw",
    "optimizer.type": "choose a file of conf/schedule/optimizer, such as schedule/optimizer=adamw",
    "optimizing_method": (
        "choose a file of conf/schedule/optimizer, such as schedule/optimizer=adamw"
    ),
    "scheduler": "choose a file of conf/schedule, such as schedule=sgd_40e_cosine",
    "lr_scheduler": "choose a file of conf/schedule, such as schedule=sgd_40e_cosine",
    "param_scheduler": "choose a file of conf/schedule, such as schedule=sgd_40e_cosine",
    "lr_policy": "choose a file of conf/schedule, such as schedule=sgd_40e_cosine",
    "milestones": (
        "choose a schedule with steps, such as schedule=sgd_100e, and change "
        "schedule.lr.drop.milestones"
    ),
    "steps": (
        "choose a schedule with steps, such as schedule=sgd_100e, and change "
        "schedule.lr.drop.milestones"
    ),
    "warmup": "choose a schedule with a warm-up, such as schedule=sgd_20e_warmup",
    "warmup_epochs": "choose a schedule with a warm-up, such as schedule=sgd_20e_warmup",
    "warmup_iters": "choose a schedule with a warm-up, such as schedule=sgd_20e_warmup",
    "warmup_steps": "choose a schedule with a warm-up, such as schedule=sgd_20e_warmup",
    # weights and checkpoints
    "pretrained": "model.weights",
    "load_from": "model.weights",
    "init_cfg": "model.weights",
    "init_cfg.checkpoint": "model.weights",
    "checkpoint_file_path": "model.weights",
    "pretrained_weights": "model.weights",
    "checkpoint": (
        "weights to start from are model.weights=FILE, a run is resumed with runtime.resume=FILE, "
        "a checkpoint is evaluated with python evaluate.py checkpoint=FILE"
    ),
    "run": "the commands that use a trained network take run=DIR, such as python evaluate.py",
    "score": "files are scored by python evaluate.py score=FILE",
    "dump": "predictions are written by python evaluate.py dump=FILE",
    "resume": (
        "the same command goes on with its last checkpoint by itself; another checkpoint is "
        "runtime.resume=FILE"
    ),
    "auto_resume": "the same command goes on with its last checkpoint by itself",
    "resume_from": "runtime.resume",
    # where and how to run
    "work_dir": "hydra.run.dir",
    "workdir": "hydra.run.dir",
    "output_dir": "hydra.run.dir",
    "out_dir": "hydra.run.dir",
    "log_dir": "hydra.run.dir",
    "save_dir": "hydra.run.dir",
    "rng_seed": "runtime.seed",
    "randomness.seed": "runtime.seed",
    "amp": "runtime.precision=fp16",
    "fp16": "runtime.precision=fp16",
    "bf16": "runtime.precision=bf16",
    "use_amp": "runtime.precision=fp16",
    "mixed_precision.enable": "runtime.precision=fp16",
    "workers": "runtime.num_workers",
    "workers_per_gpu": "runtime.num_workers",
    "log_interval": "runtime.log_every",
    "log_period": "runtime.log_every",
    "checkpoint_period": "runtime.save_every_epochs",
    "gpu": "runtime.device=cuda",
    "gpu_ids": "choose GPUs with CUDA_VISIBLE_DEVICES=0 before the command",
    "gpus": "torchrun --standalone --nproc-per-node=N train.py ... starts one process on each GPU",
    "num_gpus": (
        "torchrun --standalone --nproc-per-node=N train.py ... starts one process on each GPU"
    ),
    "launcher": (
        "torchrun --standalone --nproc-per-node=N train.py ... starts one process on each GPU, "
        "runtime=slurm submits jobs"
    ),
    "debug": "runtime=debug",
    "wandb": "write runtime.dashboard=wandb, tensorboard or none",
    "use_wandb": "write runtime.dashboard=wandb, tensorboard or none",
    "tensorboard": "write runtime.dashboard=wandb, tensorboard or none",
    # data
    "data_root": "data.root",
    "data_dir": "data.root",
    "data_path": "data.root",
    "path_to_data_dir": "data.root",
    "path_prefix": "data.root",
    "dataset_root": "data.root",
    "data_prefix.video": "data.folder",
    "dataset": "choose a file of conf/data, such as data=ucf101",
    "train.dataset": "choose a file of conf/data, such as data=ucf101",
    "dataset_type": "choose a file of conf/data/format, such as data/format=rawframes",
    "ann_file": "data.train.records.path",
    "ann_file_train": "data.train.records.path",
    "ann_file_val": "data.val.records.path",
    "train_dataloader.dataset.ann_file": "data.train.records.path",
    "val_dataloader.dataset.ann_file": "data.val.records.path",
    "num_class": "data.num_classes",
    "nb_classes": "data.num_classes",
    "path": "data.train.records.path",
    "flip": "write data.transforms.train.flip=null to drop this step",
    "mirror": "write data.transforms.train.flip=null to drop this step",
    "pipeline": "the steps are named in data.transforms.train, print them with --cfg job",
    "train_pipeline": "the steps are named in data.transforms.train, print them with --cfg job",
    "aug": "choose a file of conf/data/transforms, such as data/transforms=rand_augment",
    "augment": "choose a file of conf/data/transforms, such as data/transforms=rand_augment",
    "augmentation": "choose a file of conf/data/transforms, such as data/transforms=rand_augment",
    "split": "a test is python evaluate.py ... split=val or split=test, training has both",
    # clips and frames
    "num_frames": "model.clip.frames",
    "clip_len": "model.clip.frames",
    "frame_interval": "model.clip.interval",
    "sampling_rate": "model.clip.interval",
    "num_segments": "model.clip.clips",
    "num_clips": "model.clip.clips",
    "num_ensemble_views": "model.clip.test_clips",
    "crop_size": "model.clip.size",
    "train_crop_size": "model.clip.size",
    "input_size": "model.clip.size",
    "img_size": "model.clip.size",
    "resolution": "model.clip.size",
    "test_crop_size": "model.clip.test_size",
    # the network
    "arch": "choose a file of conf/model, such as model=slowfast",
    "model_name": "choose a file of conf/model, such as model=slowfast",
    "backbone.type": (
        "choose a file of conf/model/backbone, such as model/backbone@model.net.backbone=resnet"
    ),
    "dropout": "model.net.cls_head.dropout_ratio",
    "dropout_rate": "model.net.cls_head.dropout_ratio",
}  # fmt: skip

_NEAR = 0.75  # similarity of a name that is meant all the same


def words(key: str) -> list[str]:
    """The words of a key as they are compared.

    >>> words("TRAIN.BATCH_SIZE"), words("--work-dir")
    (['train', 'batch_size'], ['work_dir'])
    """
    return [word for word in re.split(r"[./]", key.strip("-+~").lower().replace("-", "_")) if word]


def instead(
    key: str,
    value: str | None = None,
    leaves: Mapping[str, object] | None = None,
    *,
    near: bool = True,
) -> str:
    """What to write for a key that does not exist as it stands; "" if nothing is like it.

    value: what it was given, for the answer. leaves: full path -> value as written, of the values
    that there are; by default those of the schemas of all tasks. near: also for a misspelt name.

    >>> instead("epochs", "3"), instead("backbone.depth", "50", {"model.net.backbone.depth": 18})
    ('write schedule.epochs=3', 'write model.net.backbone.depth=50')
    """
    if leaves is None:
        leaves = dict.fromkeys(_of_schemas())
    given = words(key)
    length, found = _in_leaves(given, leaves)
    if answer := elsewhere(key, value, at_least=length):
        return answer
    if near and not found and given:
        by_name = {words(leaf)[-1]: leaf for leaf in sorted(leaves, key=_depth, reverse=True)}
        similar = difflib.get_close_matches(given[-1], by_name, n=1, cutoff=_NEAR)
        found = [by_name[name] for name in similar]
    answers = [f"{leaf}={'...' if value is None else value}" for leaf in found[:3]]
    return f"write {' or '.join(answers)}" if answers else ""


def elsewhere(key: str, value: str | None = None, at_least: int = 1) -> str:
    """What to write for a key of another project; "" if its name is none.

    at_least: words of the key that must be known, from its end.

    >>> elsewhere("optim_wrapper.optimizer.type")
    'choose a file of conf/schedule/optimizer, such as schedule/optimizer=adamw'
    """
    given = words(key)
    for start in range(len(given)):
        name = ".".join(given[start:])
        if name in _OTHER_NAMES and len(given) - start >= at_least:
            return _written(_OTHER_NAMES[name], value)
    return ""


def _in_leaves(given: Sequence[str], leaves: Mapping[str, object]) -> tuple[int, list[str]]:
    """How many of the last words some leaves share, and those leaves, the shortest paths only.

    A leaf that only refers to another one stands for that.
    """
    shared: dict[str, int] = {}
    for leaf in leaves:
        pairs = zip(reversed(given), reversed(words(leaf)), strict=False)
        count = 0
        for one, other in pairs:
            if one != other:
                break
            count += 1
        if count:
            shared[leaf] = count
    longest = max(shared.values(), default=0)
    best = {_source(leaf, leaves): None for leaf, count in shared.items() if count == longest}
    shortest = min(map(_depth, best), default=0)
    return longest, [leaf for leaf in best if _depth(leaf) == shortest]


def _source(leaf: str, leaves: Mapping[str, object]) -> str:
    """The leaf that a value refers to and nothing else, or itself."""
    for _ in leaves:
        reference = re.fullmatch(r"\$\{([\w.]+)\}", str(leaves[leaf]))
        if reference is None or reference[1] not in leaves:
            break
        leaf = reference[1]
    return leaf


def _depth(key: str) -> int:
    return key.count(".")


def _written(name: str, value: str | None) -> str:
    """What an entry of `_OTHER_NAMES` says."""
    if " " in name:
        return name
    if "=" in name:
        return f"write {name}"
    # `pretrained=true`: the key has another name here, and values of another kind.
    other = value is None or value.lower() in ("", "true", "false", "none", "null")
    return f"write {name}={'...' if other else value}"


def _of_schemas() -> Iterator[str]:
    """Full paths of the fields of all tasks."""
    yield from _fields(TrainConf, "")
    for group, classes in (("model.", MODELS), ("data.", DATA)):
        for schema in classes:
            yield from _fields(schema, group)


def _fields(schema: type, path: str) -> Iterator[str]:
    for name, kind in typing.get_type_hints(schema).items():
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            yield from _fields(kind, f"{path}{name}.")
        else:
            yield f"{path}{name}"
