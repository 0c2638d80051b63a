"""One training run, from a checked configuration to the figures at its end."""

import time
from pathlib import Path
from typing import Any

import torch

from vidrec import build
from vidrec.config import DataConf, TrainConf
from vidrec.data.bad_videos import BadVideos
from vidrec.data.batch import to_device
from vidrec.engine import distributed
from vidrec.engine.logging import Run
from vidrec.engine.train import train
from vidrec.models.weights import load_weights


def train_run(conf: TrainConf, folder: Path, config_text: str) -> float:
    """Train as `conf` says in `folder` and return the best validation score."""
    started = time.monotonic()
    schedule, runtime = conf.schedule, conf.runtime
    dist = distributed.start(runtime.device, runtime.dist_timeout_minutes)
    run = Run(folder, dist.rank, runtime, config_text)
    exit_code = 1
    try:
        set_torch_options(conf)
        if dist.rank == 0:
            build.prepare_data(conf.data)
        dist.barrier()
        train_set = build.build_dataset(conf.data, "train")
        val_set = build.build_dataset(conf.data, "val")
        class_names = read_class_names(conf.data)
        loaders = build.Loaders(
            train=build.train_loader(train_set, schedule, runtime, dist),
            val=build.evaluation_loader(val_set, schedule.val_batch_size, runtime, dist),
        )
        net = build.build_net(conf.model)
        check_sample(net, train_set)
        if conf.model.weights:
            report = load_weights(net, conf.model.weights, min_backbone=conf.model.min_backbone)
            run.info(str(report))
        net.to(dist.device)
        optimizer = build.build_optimizer(net, schedule, dist.world)
        lr = build.build_lr(schedule, optimizer, len(loaders.train) // schedule.accumulate)
        metric = build.build_metric(conf.data)
        run.info(describe(conf, net, len(train_set), len(val_set), dist))
        best = train(
            net,
            build.build_loss(conf.model),
            optimizer,
            lr,
            loaders,
            metric,
            schedule,
            runtime,
            run,
            dist,
            BadVideos(len(train_set), conf.data.max_bad_fraction),
        )
        exit_code = 0
        return best
    finally:
        run.finish(exit_code)
        dist.stop()


def set_torch_options(conf: TrainConf) -> None:
    """Process-wide switches of torch, in one place."""
    runtime = conf.runtime
    if runtime.threads is not None:
        torch.set_num_threads(runtime.threads)
    torch.backends.cudnn.benchmark = runtime.cudnn_benchmark
    torch.use_deterministic_algorithms(runtime.deterministic)
    # TF32 is what published recipes ran with; it changes nothing on other devices.
    torch.backends.cudnn.allow_tf32 = not runtime.deterministic
    torch.manual_seed(runtime.seed)


def read_class_names(data: DataConf) -> list[str] | None:
    """Names of the classes, or None where `data.class_names` names no file.

    Raises ValueError where the file has another number of classes than the data.
    """
    if data.class_names is None:
        return None
    names = read_label_map(data.class_names)
    if len(names) != data.num_classes:
        raise ValueError(
            f"data.class_names={data.class_names} has {len(names)} names, "
            f"but data.num_classes={data.num_classes}"
        )
    return names
