"""One evaluation, from a checked configuration to scores with their protocol."""

import sys
import time
from pathlib import Path
from typing import Any

from vidrec import build
from vidrec.config.schema import EvaluateConf
from vidrec.data.classes import class_difference
from vidrec.data.unreadable import BadVideos
from vidrec.engine import distributed
from vidrec.engine.distributed import Distributed
from vidrec.engine.evaluate import evaluate
from vidrec.engine.metric import Unscored
from vidrec.engine.setup import net_to_device, set_torch_options
from vidrec.engine.timed_loader import TimedLoader
from vidrec.errors import sentence
from vidrec.files.atomic_write import check_writable
from vidrec.files.signature import refuse_others, sign
from vidrec.files.text_files import check_file
from vidrec.progress import ProgressBar
from vidrec.report.evaluation import Evaluation, report_evaluation
from vidrec.report.files import check_report_folder
from vidrec.report.speed import speed_of_evaluation
from vidrec.report.unreadable import unreadable_of_all
from vidrec.tasks import task_of
from vidrec.tasks.task import Evaluated
from vidrec.weights.description import trained_classes
from vidrec.weights.load import load_all


def evaluate_run(conf: EvaluateConf) -> dict[str, float]:
    """Score `conf.checkpoint` on `conf.split`, or the predictions in the files `conf.score`."""
    task = task_of(conf)
    _check_files(conf)
    if conf.score:
        scores, how = task.score_files(conf)
        if conf.dump:
            _wrote("predictions", conf.dump)
        show(scores, how)
        return scores
    dist = distributed.start(conf.runtime.device, conf.runtime.dist_timeout_minutes)
    try:
        done = evaluated(conf, dist)
        if dist.rank == 0:
            print(done.loaded)
            show(done.scores, done.found.title)
            if conf.dump:
                task.dump(done.found, conf.dump)
                _wrote("predictions", conf.dump)
            if conf.pictures:
                task.pictures(done.found, Path(conf.pictures))
                _wrote("pictures", conf.pictures)
            if done.scores and (folder := report_folder(conf)):
                _report(done, conf, folder, dist)
        return done.scores
    finally:
        dist.stop()


def evaluated(conf: EvaluateConf, dist: Distributed) -> Evaluation:
    """Run the network of `conf.checkpoint` over `conf.split`, on every rank; writes nothing."""
    started = time.monotonic()
    if conf.checkpoint is None:
        raise ValueError("nothing to evaluate: pass run=DIR, checkpoint=FILE or score=[FILE.npz]")
    task, runtime = task_of(conf), conf.runtime
    set_torch_options(runtime)
    build.prepare_data(conf, dist)
    dataset = build.build_dataset(conf.data, conf.split)
    build.check_files(conf.data, {conf.split: dataset}, runtime, dist)
    unlabelled = check_labels(conf, dataset)
    class_names = task.class_names(conf, dataset)
    if task.scores_classes and conf.same_classes:
        check_classes(class_names, conf.checkpoint)
    if dist.rank == 0:
        for doubt in task.doubts({conf.split: dataset}):
            print(f"warning: {doubt}", file=sys.stderr)
    schedule = conf.schedule
    size = schedule.val_batch_size if conf.split == "val" else schedule.test_batch_size
    loader = TimedLoader(build.evaluation_loader(dataset, size, runtime, dist))
    net = build.build_net(conf.model)
    loaded = load_all(net, conf.checkpoint, allow_non_finite=conf.model.allow_non_finite)
    net = net_to_device(net, dist.device)
    metric = build.build_metric(conf.data)
    bar = ProgressBar(runtime.progress and dist.rank == 0)
    bad_videos = BadVideos(len(dataset), build.max_bad_fraction(conf.data))
    scores, rows = evaluate(
        net,
        Unscored(metric) if unlabelled else metric,
        loader,
        runtime,
        dist,
        progress=lambda done, total: bar.show(done, total, f"evaluating {conf.split}"),
        bad_videos=bad_videos,
    )
    how = task.protocol(dataset, net, int(scores.get("num_scored", len(dataset))))
    title = f"{conf.data.name} {conf.split}: {how}"
    return Evaluation(
        net=net,
        scores=scores,
        found=Evaluated(metric, rows, dataset, class_names, how, title),
        loaded=str(loaded),
        unreadable=unreadable_of_all(bad_videos.reasons, dist),
        seconds=time.monotonic() - started,
        speed=speed_of_evaluation(loader, len(dataset)),
    )


def report_folder(conf: EvaluateConf) -> Path | None:
    """Where the report goes: `report=FOLDER`, or evaluation-SPLIT in the run directory."""
    if conf.report == "none":
        return None
    if conf.report != "auto":
        return Path(conf.report)
    return Path(conf.run) / f"evaluation-{conf.split}" if conf.run is not None else None


def _report(done: Evaluation, conf: EvaluateConf, folder: Path, dist: Distributed) -> None:
    """Write the report and say where; a failure costs a warning, the scores are printed."""
    try:
        print(f"report: {report_evaluation(done, conf, folder, dist)}")
    except Exception as error:  # of code of any kind, one's own records and metric included
        print(f"warning: the report could not be written: {sentence(error)}", file=sys.stderr)


def _check_files(conf: EvaluateConf) -> None:
    """Raise OSError if a file to score is missing, or an output cannot be written or would replace
    what others wrote; ValueError if a report is asked for that there cannot be.
    """
    for path in conf.score:
        check_file(path)
    if conf.dump:
        check_writable(conf.dump)
        refuse_others([conf.dump])
    if conf.pictures:
        check_writable(conf.pictures, is_folder=True)
        if any(Path(conf.pictures).glob("*")):
            refuse_others([conf.pictures])
    if conf.report not in ("auto", "none"):
        if conf.score:
            raise ValueError(
                f"report={conf.report}: files that are scored have no report; leave report out"
            )
        check_writable(conf.report, is_folder=True)
        check_report_folder(Path(conf.report))


def _wrote(what: str, path: str) -> None:
    sign(path)
    print(f"{what}: {path}")


def check_labels(conf: EvaluateConf, dataset: Any) -> bool:
    """Whether the samples have no labels, so that predictions are only written.

    dataset: of the task. Raises ValueError if nothing would come of it then.
    """
    task = task_of(conf)
    if (reason := task.unlabelled(dataset)) is None:
        return False
    if conf.pictures and task.pictures_need_labels:
        raise ValueError(f"pictures= compares predictions with labels, but {reason}")
    if not (conf.dump or conf.pictures):
        raise ValueError(
            f"nothing can be scored, as {reason}; pass dump=FILE to write the predictions alone"
        )
    return True


def check_classes(names: list[str], checkpoint: str) -> None:
    """Raise ValueError if the checkpoint was trained on classes of other names or order."""
    difference = class_difference(trained_classes(checkpoint) or names, names)
    if difference:
        raise ValueError(
            f"{checkpoint} was trained on {difference}; give the data the classes of training, or "
            "pass same_classes=false if they mean the same"
        )


def show(scores: dict[str, float], how: str) -> None:
    """Print each score with how it was measured."""
    if not scores.keys() - {"num_scored"}:
        print(f"no labels: nothing is scored   {how}")
    for name, value in scores.items():
        print(f"{name:12s} {value:9.4f}   {how}")
