"""One training run, from a checked configuration to the pictures at its end."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from vidrec import build
from vidrec.config.schema import ClipDataConf, DataConf, Task, TrainConf, VideoDataConf
from vidrec.data.clips.annotations import read_label_map
from vidrec.engine import checkpoint, distributed
from vidrec.engine.distributed import Distributed
from vidrec.engine.heartbeat import Heartbeat
from vidrec.engine.job import Job, Outcome, steps_per_epoch
from vidrec.engine.metric import Metric
from vidrec.engine.preempt import Interrupted
from vidrec.engine.setup import net_to_device, set_torch_options
from vidrec.engine.train import train
from vidrec.errors import sentence
from vidrec.metrics.charts import Charted
from vidrec.tracking import status
from vidrec.tracking.console import duration
from vidrec.tracking.run import Run
from vidrec.weights.load import load_weights


def train_run(
    conf: TrainConf, folder: Path, config_text: str, changes: Mapping[str, Sequence[Any]]
) -> float:
    """Train as `conf` says in `folder`; returns the best validation score."""
    started = time.monotonic()
    schedule, runtime = conf.schedule, conf.runtime
    dist = distributed.start(runtime.device, runtime.dist_timeout_minutes)
    run = Run(folder, dist.rank, runtime, config_text, changes)
    exit_code, agreed = 1, False  # agreed: all ranks end together
    where = f"the last checkpoint is {folder / checkpoint.LAST}, the same command goes on from it"

    def say(state: status.State, **facts: Any) -> None:
        if dist.rank == 0:
            status.write(folder, state, **facts)

    def lost(which: str) -> None:
        say("failed", error=which)
        run.warn(f"{which}: this rank ends too; {where}", every_rank=True)

    heartbeat = Heartbeat(dist, lost)
    try:
        class_names = begin(conf, dist)
        metric = build.build_metric(conf.data)
        say("running", key=metric.key, higher_is_better=metric.higher_is_better)
        loaders = build.build_loaders(conf.data, schedule, runtime, dist)
        net = build.build_net(conf.model)
        if conf.model.weights and not resumes(conf, folder):
            run.info(
                str(load_weights(net, conf.model.weights, min_backbone=conf.model.min_backbone))
            )
        net = net_to_device(net, dist.device, sync_bn=schedule.sync_bn)
        optimizer = build.build_optimizer(net, schedule, dist.world)
        lr = build.build_lr(schedule, optimizer, steps_per_epoch(len(loaders.train), schedule))
        describe(conf, net, loaders, run, dist)
        job = Job(
            net=net,
            loss_fn=build.build_loss(conf.model),
            metric=metric,
            optimizer=optimizer,
            lr=lr,
            loaders=loaders,
            schedule=schedule,
            runtime=runtime,
            run=run,
            dist=dist,
            mixing=build.build_mixing(schedule),
            config_text=config_text,
        )
        outcome = train(job)
        if dist.rank == 0:
            draw(outcome, metric, loaders.val.dataset, class_names, run)
            report(metric.key, outcome, folder, run, time.monotonic() - started)
        say("finished", best=outcome.best)
        exit_code, agreed = 0, True
        return outcome.best
    except Interrupted:
        say("stopped")
        agreed = True
        raise
    except BaseException as error:
        which = heartbeat.wait_for_loss()
        say("failed", error=which or sentence(error))
        if which:
            raise RuntimeError(f"{which}, this rank ends too; {where}") from error
        raise
    finally:
        heartbeat.stop(clean=agreed)
        run.finish(exit_code)
        dist.stop()


def begin(conf: TrainConf, dist: Distributed) -> list[str]:
    """What comes before any network: torch's switches and the example data; the class names."""
    set_torch_options(conf.runtime)
    if dist.rank == 0:
        build.prepare_data(conf.data)
    dist.barrier()
    return read_class_names(conf.data)


def resumes(conf: TrainConf, folder: Path) -> bool:
    """Whether a checkpoint will replace whatever weights are loaded before."""
    if conf.runtime.resume == "auto":
        return (folder / checkpoint.LAST).exists()
    return conf.runtime.resume != "never"


def read_class_names(data: DataConf) -> list[str]:
    """Names of the classes, or their numbers where `data.class_names` names no file.

    Only recognition has them here; the annotations of the other tasks bring their own.

    Raises ValueError if the file has another number of classes than the data.
    """
    if not isinstance(data, ClipDataConf):
        return []
    if data.class_names is None:
        return [str(number) for number in range(data.num_classes)]
    names = read_label_map(data.class_names)
    if len(names) != data.num_classes:
        raise ValueError(
            f"data.class_names={data.class_names} has {len(names)} names, "
            f"but data.num_classes={data.num_classes}"
        )
    return names


def describe(
    conf: TrainConf, net: nn.Module, loaders: build.Loaders, run: Run, dist: Distributed
) -> None:
    """Say what is about to happen, and warn where it is not what the recipe means."""
    schedule = conf.schedule
    trained = sum(p.numel() for p in net.parameters() if p.requires_grad)
    effective = schedule.effective_batch(dist.world)
    of_classes = ""
    if isinstance(conf.data, VideoDataConf):
        of_classes = f" of {conf.data.num_classes} classes"
    run.info(
        f"{trained / 1e6:.2f} M parameters, {loaders.num_train:,} training and "
        f"{loaders.num_val:,} validation samples{of_classes}, "
        f"{effective} samples a step on {dist.world} x {dist.device.type}, "
        f"{conf.runtime.precision.value}"
    )
    if conf.data.task == Task.detection:
        records = loaders.val.dataset.records  # type: ignore[attr-defined]
        run.info(
            f"{len(records.columns)} actions are learned, {len(records.classes)} of them evaluated"
        )
    run.info(f"everything goes to {run.folder}")
    if schedule.base_batch_size and effective != schedule.base_batch_size:
        scaled = "was scaled to it" if schedule.scale_lr else "is not scaled to it"
        run.warn(
            f"{effective} samples a step where the recipe has {schedule.base_batch_size}: "
            f"the learning rate {scaled} (schedule.scale_lr)"
        )


def draw(outcome: Outcome, metric: Metric, dataset: Any, class_names: list[str], run: Run) -> None:
    """Curves, charts of the metric, confusion matrix, sample predictions.

    One that fails costs a warning, not the run.
    """
    from vidrec.metrics.accuracy import confusion_matrix
    from vidrec.metrics.ava_map import AVAMeanAP
    from vidrec.plots.boxes import draw_boxes
    from vidrec.plots.clips import draw_predictions, load_samples, write_predictions
    from vidrec.plots.confusion import draw_confusion
    from vidrec.plots.curves import draw_curves
    from vidrec.plots.metric_charts import draw_chart
    from vidrec.plots.timelines import draw_segments

    try:
        path = run.folder / "curves.png"
        draw_curves(run.folder / "metrics.jsonl", path)
        rows = outcome.rows
        if not rows:  # finished before: the dashboard has everything
            return
        run.picture("curves", path)
        if isinstance(metric, Charted):
            for name, chart in metric.charts(rows).items():
                path = run.folder / f"{name}.png"
                draw_chart(chart, path)
                run.picture(name, path)
        if "segments" in rows:
            path = run.folder / "segments.png"
            draw_segments(rows, dataset.records, path)
            run.picture("segments", path)
            return
        if isinstance(metric, AVAMeanAP):
            for path in draw_boxes(metric, rows, dataset, run.folder):
                show = run.video if path.suffix == ".mp4" else run.picture
                show(path.stem, path)
            return
        if rows["label"].ndim == 1:
            path = run.folder / "confusion.png"
            predicted = rows["scores"].argmax(axis=1)
            matrix = confusion_matrix(predicted, rows["label"], len(class_names))
            draw_confusion(matrix, class_names, path)
            run.picture("confusion", path)
        path = run.folder / "predictions.png"
        samples = load_samples(rows, dataset, class_names)
        draw_predictions(samples, path)
        run.picture("predictions", path)
        path = run.folder / "predictions.mp4"
        write_predictions(samples, path)
        run.video("prediction_clips", path)
    except (OSError, ValueError, RuntimeError) as error:
        run.warn(f"a picture could not be drawn: {error}")


def report(key: str, outcome: Outcome, folder: Path, run: Run, seconds: float) -> None:
    """The last lines: what came out and where it is; key: the score that decides."""
    if outcome.rows:
        run.info(f"best val/{key} {outcome.best:.4f} after {duration(seconds)}")
    else:
        run.info(f"this run had finished before: best val/{key} {outcome.best:.4f}")
    found = [
        name
        for name in ("best.pt", "last.pt", "metrics.jsonl", "train.log")
        if (folder / name).exists()
    ]
    found += sorted(path.name for path in folder.iterdir() if path.suffix in (".png", ".mp4"))
    run.info(f"{folder}: {', '.join(found)}")
    run.info(f"evaluate it: python evaluate.py run={folder}")
