"""One evaluation, from a checked configuration to numbers with their protocol."""

from pathlib import Path
from typing import Any

from vidrec import build
from vidrec.commands.train import begin
from vidrec.config.schema import ClipDataConf, EvaluateConf, Task, VideoDataConf
from vidrec.data.unreadable import BadVideos
from vidrec.engine import distributed
from vidrec.engine.evaluate import evaluate, protocol
from vidrec.engine.setup import net_to_device
from vidrec.metrics.predictions import Predictions, dump, fuse
from vidrec.plots.boxes import draw_boxes
from vidrec.plots.timelines import draw_all_segments
from vidrec.progress import ProgressBar
from vidrec.weights.load import load_weights


def evaluate_run(conf: EvaluateConf) -> dict[str, float]:
    """Score `conf.checkpoint` on `conf.split`, or the dumps in `conf.score`."""
    if conf.score:
        return score_dumps(conf)
    if conf.checkpoint is None:
        raise ValueError(
            "there is nothing to evaluate: give run=DIR, or checkpoint=FILE, or score=[FILE.npz]"
        )
    runtime = conf.runtime
    dist = distributed.start(runtime.device, runtime.dist_timeout_minutes)
    try:
        class_names = begin(conf, dist)
        dataset = build.build_dataset(conf.data, conf.split)
        is_val = conf.split == "val"
        batch_size = conf.schedule.val_batch_size if is_val else conf.schedule.test_batch_size
        loader = build.evaluation_loader(dataset, batch_size, runtime, dist)
        net = build.build_net(conf.model)
        loaded = load_weights(net, conf.checkpoint, min_backbone=1.0)
        if loaded.missing or loaded.differing:
            raise ValueError(
                f"{loaded}\n{conf.checkpoint} is not of this model, what is missing would be "
                "random; choose the model, the data (its classes) or the experiment of its training"
            )
        net = net_to_device(net, dist.device)
        bar = ProgressBar(runtime.progress and dist.rank == 0)
        metric = build.build_metric(conf.data)
        scores, rows = evaluate(
            net,
            metric,
            loader,
            runtime,
            dist,
            progress=lambda done, total: bar.show(done, total, f"evaluating {conf.split}"),
            bad_videos=BadVideos(len(dataset), build.max_bad_fraction(conf.data)),
        )
        how = describe(conf, int(scores.get("num_scored", len(dataset))), len(dataset))
        if dist.rank == 0:
            print(loaded)
            show(scores, f"{conf.data.name} {conf.split}: {how}")
            if conf.dump and conf.data.task != Task.recognition:
                metric.dump(rows, conf.dump)
                print(f"predictions: {conf.dump}")
            elif conf.dump:
                names = [dataset.records[int(index)].path for index in rows["index"]]
                named = class_names if names_are_known(conf) else []
                dump(
                    Predictions(rows["scores"], rows["label"], rows["index"], names, named, how),
                    conf.dump,
                )
                print(f"predictions: {conf.dump}")
            if conf.pictures and conf.data.task == Task.detection:
                draw_boxes(metric, rows, dataset, Path(conf.pictures), count=12)
                print(f"pictures: {conf.pictures}")
            elif conf.pictures:
                draw_all_segments(metric.detections(rows), metric.records, Path(conf.pictures))
                print(f"pictures: {conf.pictures}")
        return scores
    finally:
        dist.stop()


def score_dumps(conf: EvaluateConf) -> dict[str, float]:
    """The metric of the data group on one dump, or on several fused; runs no net."""
    if conf.data.task != Task.recognition:
        return score_file(conf)
    fused = fuse(conf.score, conf.score_weights)
    scores = build.build_metric(conf.data).compute(fused.rows)
    show(scores, f"{len(fused.names):,} videos, {fused.protocol}")
    if conf.dump:
        dump(fused, conf.dump)
        print(f"predictions: {conf.dump}")
    return scores


def score_file(conf: EvaluateConf) -> dict[str, float]:
    """The metric of the data group on a file of segments or boxes."""
    build.prepare_data(conf.data)
    metric = build.build_metric(conf.data)
    scores = metric.score_file(conf.score[0])
    what = "key frames" if conf.data.task == Task.detection else "videos"
    show(scores, f"{len(metric.records):,} annotated {what}, {conf.score[0]}")
    return scores


def show(scores: dict[str, float], how: str) -> None:
    """The scores, each beside how it was measured."""
    for name, value in scores.items():
        print(f"{name:12s} {value:9.4f}   {how}")


def describe(conf: EvaluateConf, num_scored: int, num_samples: int) -> str:
    """The protocol line."""
    if not isinstance(conf.data, VideoDataConf):
        most = conf.model.net["post_process_top_k"]
        sequences = f"{num_scored:,} of {num_samples:,} sequences"
        return f"at most {most} segments of each of {sequences}"
    node = getattr(conf.data, conf.split)
    sampling = node["sampling"]
    if conf.data.task == Task.detection:
        threshold = node["records"]["person_det_score_thr"]
        return (
            f"{sampling['clip_len']}x{sampling['frame_interval']} frames, "
            f"short side {_pixels(conf.data, conf.split)['short_side']}, "
            f"persons from {threshold:g} on, {num_scored:,} of {num_samples:,} key frames"
        )
    return protocol(
        clips=sampling["num_clips"],
        crops=_num_crops(conf.data, conf.split),
        frames=sampling["clip_len"],
        interval=sampling.get("frame_interval", 1),
        **_pixels(conf.data, conf.split),
        average=conf.model.net["average_clips"],
        num_scored=num_scored,
        num_samples=num_samples,
    )


def names_are_known(conf: EvaluateConf) -> bool:
    """Whether the classes have names, rather than numbers alone."""
    return isinstance(conf.data, ClipDataConf) and conf.data.class_names is not None


def _pixels(data: VideoDataConf, split: str) -> dict[str, int | None]:
    """Edge of the crops and short side of the frames that they are cut from."""
    steps = [step for step in data.transforms[split].values() if step]
    scale = next((step["scale"] for step in steps if "scale" in step), None)
    return {
        "size": next((step["crop_size"] for step in steps if "crop_size" in step), None),
        "short_side": max(scale) if isinstance(scale, list) else scale,
    }


def _num_crops(data: VideoDataConf, split: str) -> int:
    """Views that the transforms cut from each clip."""
    crops = {"ThreeCrop": 3, "TenCrop": 10}
    steps: list[Any] = [step for step in data.transforms[split].values() if step]
    return next((crops[k] for s in steps if (k := s["_target_"].rsplit(".", 1)[1]) in crops), 1)
