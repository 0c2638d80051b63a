"""Configuration -> objects, in reading order. The only caller of `instantiate`."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from vidrec.config.schema import (
    DataConf,
    ModelConf,
    Node,
    ParamRule,
    RuntimeConf,
    ScheduleConf,
    TrainConf,
    TrainedConf,
    VideoDataConf,
)
from vidrec.data.clips.missing_files import Source, complaint, missing_rows
from vidrec.data.loader import EpochBatches, EvaluationBatches, make_loader
from vidrec.data.transforms.mixing import Mix
from vidrec.data.transforms.pipeline import Step
from vidrec.data.unreadable import BadVideos
from vidrec.engine.distributed import Distributed
from vidrec.engine.job import Loss
from vidrec.engine.lr import LearningRate
from vidrec.engine.metric import Metric
from vidrec.engine.optim import linear_scale, parameter_groups
from vidrec.errors import EXPECTED
from vidrec.files.text_files import what_is_there
from vidrec.weights.description import ModelDescription

log = logging.getLogger(__name__)


@dataclass
class Loaders:
    train: DataLoader
    val: DataLoader
    num_train: int  # samples
    num_val: int
    bad_train: BadVideos
    bad_val: BadVideos


def _make(node: Node) -> Any:
    """The object a `_target_` node describes; what its constructor raises comes as it is.

    Arguments that the constructor stumbles over are ValueErrors too.
    """
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        cause: BaseException = error
        while isinstance(cause, InstantiationException) and cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, EXPECTED):
            raise cause from None
        where = str(error).rsplit("full_key: ", 1)
        place = f" ({where[1]})" if len(where) == 2 else ""
        raise ValueError(
            f"{node['_target_']}{place} cannot be made with these arguments: "
            f"{type(cause).__name__}: {cause}"
        ) from cause


def build_net(model: ModelConf) -> nn.Module:
    """The network with its initial weights as constructed; `model.weights` are loaded elsewhere."""
    return _make(model.net)


def build_loss(model: ModelConf) -> Loss:
    return _make(model.loss)


def build_metric(data: DataConf) -> Metric:
    return _make(data.metric)


def build_dataset(data: DataConf, split: str) -> Any:
    """The dataset of `train`, `val` or `test`; reads its annotations, opens no video."""
    node = getattr(data, split)
    steps = node.get("steps")
    # A step set to null was dropped from the pipeline.
    if isinstance(steps, Mapping):
        node = node | {"steps": {name: step for name, step in steps.items() if step is not None}}
    # In evaluation a sample is scored once: in place of an unreadable one there is nothing to take.
    if split != "train" and node.get("on_bad_video") == "replace":
        node = node | {"on_bad_video": "skip"}
    try:
        dataset = _make(node)
    except FileNotFoundError:
        root = str(data.root)
        if os.path.isdir(root):
            raise
        raise FileNotFoundError(
            f"data.root={root} does not exist, {what_is_there(root)}; docs/data.md shows "
            f"the folder that data={data.name} expects"
        ) from None
    if len(dataset) == 0:
        raise ValueError(f"data={data.name} has no samples in its {split} list")
    return dataset


def check_files(
    data: DataConf, datasets: Mapping[str, Any], runtime: RuntimeConf, dist: Distributed
) -> None:
    """Look for the files of the lists, by split, on rank 0; the others wait for its word.

    A few missing files, as `data.on_bad_video` and `data.max_bad_fraction` allow, are a warning.
    Raises FileNotFoundError if there are more. What is no list of videos is left to itself.
    """
    problem = ""
    if runtime.check_files and dist.rank == 0 and isinstance(data, VideoDataConf):
        for split, dataset in datasets.items():
            if "records" not in getattr(data, split):
                continue  # of the user's own: nothing says that its records are files
            if not (rows := missing_rows(dataset)):
                continue
            sentence = complaint(dataset, rows, _source(data, split))
            tolerated = 0 if data.on_bad_video == "raise" else data.max_bad_fraction
            if len(rows) > int(len(dataset) * tolerated):
                problem = problem or sentence
            else:
                log.warning(sentence)
    if dist.any(bool(problem)):
        raise FileNotFoundError(problem or "rank 0 found that files of the lists are missing")


def _source(data: VideoDataConf, split: str) -> Source:
    """Where the files of a split are, for messages."""
    node = getattr(data, split)
    lists, prefix = node["records"].get("path", ""), str(node.get("prefix", ""))
    root, inside = str(data.root), prefix.removeprefix(str(data.root)).strip("/")
    keys = "data.root, data.folder" if inside.startswith(data.folder) else "data.root"
    return Source(
        lists=", ".join(lists) if isinstance(lists, list) else str(lists),
        prefix=prefix,
        root=root,
        split=split,
        keys=keys if prefix.startswith(root) else f"data.{split}.prefix",
    )


def build_reading(description: ModelDescription) -> dict[str, Any]:
    """How a trained network's videos are read: arguments of a dataset besides its records."""
    reading = dict(description.preprocessing)
    if isinstance(steps := reading.get("steps"), Mapping):
        reading["steps"] = {name: step for name, step in steps.items() if step is not None}
    return {
        name: _make(dict(value)) if isinstance(value, Mapping) else value
        for name, value in reading.items()
    }


def build_steps(data: VideoDataConf, split: str) -> dict[str, Step]:
    """The named steps of a split alone, for frames that no dataset holds."""
    return made_steps(data.transforms[split])


def made_steps(steps: Mapping[str, Any]) -> dict[str, Step]:
    """The steps of nodes by name, without those that were dropped."""
    return {name: _make(step) for name, step in steps.items() if step is not None}


def prepare_data(conf: TrainConf, dist: Distributed | None = None) -> None:
    """Write the embedded example data if it is not there yet; the other ranks wait for rank 0.

    Raises FileNotFoundError if it is missing where a run directory, which may be anybody's, says
    that it should be: that never makes anything be written.
    """
    data = conf.data
    if isinstance(conf, TrainedConf) and conf.run is not None:
        if data.prepare is not None and not os.path.isdir(str(data.root)):
            raise FileNotFoundError(
                f"{data.root} does not exist, and run= writes no example data: pass data.root=..., "
                f"or write it with python train.py data={data.name}"
            )
    elif data.prepare is not None and (dist is None or dist.rank == 0):
        _make(data.prepare)
    if dist is not None:
        dist.barrier()


def build_loaders(
    data: DataConf, schedule: ScheduleConf, runtime: RuntimeConf, dist: Distributed
) -> Loaders:
    train_set, val_set = build_dataset(data, "train"), build_dataset(data, "val")
    check_files(data, {"train": train_set, "val": val_set}, runtime, dist)
    batches = EpochBatches(
        len(train_set), schedule.batch_size, seed=runtime.seed, rank=dist.rank, world=dist.world
    )
    return Loaders(
        train=_loader(train_set, batches, runtime, dist),
        val=evaluation_loader(val_set, schedule.val_batch_size, runtime, dist),
        num_train=len(train_set),
        num_val=len(val_set),
        bad_train=BadVideos(len(train_set), max_bad_fraction(data)),
        bad_val=BadVideos(len(val_set), max_bad_fraction(data)),
    )


def max_bad_fraction(data: DataConf) -> float:
    """The fraction of unreadable samples that a run tolerates; none but videos can be skipped."""
    return data.max_bad_fraction if isinstance(data, VideoDataConf) else 0.0


def evaluation_loader(
    dataset: Any, batch_size: int, runtime: RuntimeConf, dist: Distributed
) -> DataLoader:
    batches = EvaluationBatches(len(dataset), batch_size, rank=dist.rank, world=dist.world)
    return _loader(dataset, batches, runtime, dist)


def _loader(dataset: Any, batches: Any, runtime: RuntimeConf, dist: Distributed) -> DataLoader:
    workers, persistent = num_workers(runtime, dist), runtime.persistent_workers
    return make_loader(
        dataset,
        batches,
        num_workers=workers,
        persistent_workers=workers > 0 if persistent is None else persistent,
        prefetch=runtime.prefetch,
        pin_memory=dist.device.type == "cuda",
        collate=dataset.collate,
    )


def num_workers(runtime: RuntimeConf, dist: Distributed) -> int:
    """Loader workers of this rank: as asked for, or its share of the cores."""
    if runtime.num_workers is not None:
        return runtime.num_workers
    return min(8, len(os.sched_getaffinity(0)) // dist.local_world)


def build_optimizer(net: nn.Module, schedule: ScheduleConf, world: int) -> Optimizer:
    """The optimizer over the parameter groups that `schedule.param_groups` asks for."""
    factory: partial[Optimizer] = _make(schedule.optimizer)
    lr = float(factory.keywords["lr"])
    if schedule.scale_lr:
        lr *= linear_scale(schedule.effective_batch(world), schedule.base_batch_size)
    weight_decay = float(factory.keywords.get("weight_decay", 0.0))
    rules = {name: ParamRule(**rule) for name, rule in schedule.param_groups.items() if rule}
    groups = parameter_groups(net, lr, weight_decay, rules, schedule.layer_decay)
    return factory(groups, lr=lr)


def build_mixing(schedule: ScheduleConf) -> Mix | None:
    return None if schedule.mixing is None else _make(schedule.mixing)


def build_lr(schedule: ScheduleConf, optimizer: Optimizer, steps_per_epoch: int) -> LearningRate:
    phases = {name: _make(phase) for name, phase in schedule.lr.items() if phase is not None}
    return LearningRate(phases, optimizer, steps_per_epoch, schedule.epochs)
