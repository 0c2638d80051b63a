"""What small networks reach on the embedded examples, and on real clips if there are any.

    python benchmarks/results.py                 # writes docs/results.md and docs/images/
    python benchmarks/results.py --clips DIR     # also on lip_cat_coop and work_exercise in DIR

Every line of the table is a training as a user would type it. What is finished is kept under
--work and not trained again, so an interrupted call goes on where it stopped. Clips in DIR are
linked, never copied, and no picture shows them.
"""

import argparse
import datetime
import json
import os
import platform
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import vidrec
from vidrec import build
from vidrec.engine.distributed import Distributed
from vidrec.engine.evaluate import evaluate
from vidrec.files.metrics_rows import read_metrics
from vidrec.plots.boxes import draw_sheet, extremes, load_sample
from vidrec.plots.clips import draw_predictions, load_samples
from vidrec.plots.curves import draw_curves
from vidrec.plots.labelled_boxes import CORRECT, DARK, MISSED, PLAIN, WRONG
from vidrec.plots.style import COLOURS, RED, TEXT
from vidrec.plots.timelines import draw_segments
from vidrec.weights.run_directory import overrides_of_run

ROOT = Path(__file__).resolve().parent.parent
PAGE, IMAGES = ROOT / "docs" / "results.md", ROOT / "docs" / "images"
WIDTH = 1600  # pixels of the combined picture
EMBEDDED = {
    "tsn_tiny": ["schedule.epochs=4"],
    "tsm_tiny": ["model=tsm_tiny", "schedule.epochs=5"],
    "r2plus1d_tiny": ["model=r2plus1d_tiny"],
    "bmn": ["model=bmn", "schedule.epochs=4"],
    "detector": ["model=slowonly_ava_tiny", "schedule.epochs=2"],
}
SMALL = ["data=folders", "data.name=clips", "schedule.batch_size=8", "schedule.base_batch_size=8"]
CLIPS = {
    **{
        f"lip_{seed}": ["model=r2plus1d_tiny", "schedule.epochs=12", *SMALL, f"runtime.seed={seed}"]
        for seed in (0, 1, 2)
    },
    "exercise": ["model=tsn_tiny", "schedule.epochs=6", *SMALL],
}
SOURCES = {
    "lip": "46 clips of two spoken words, cat and coop, from github.com/allenye66/"
    "Computer-Vision-Lip-Reading; 34 for training, the last 6 of each word in the order of their "
    "numbers for validation",
    "exercise": "16 videos of typing and of exercises from github.com/DaniilMako/ActRecogMMAction; "
    "12 for training, 4 for validation, as in its folders: too few to learn from without "
    "pretrained weights, so what is reached is chance",
}


@dataclass
class Outcome:
    """A training that is finished."""

    command: str
    task: str
    data: str
    score: str  # of the best epoch
    first: str  # of the first epoch
    epochs: int
    samples: str
    seconds: float
    cpu_seconds: float
    seed: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, help="folder of lip_cat_coop and work_exercise")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "results")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    load = os.getloadavg()[0]
    jobs = {name: (overrides, []) for name, overrides in EMBEDDED.items()}
    if options.clips:
        roots = lay_out(options.clips, options.work)
        for name, overrides in CLIPS.items():
            jobs[name] = (overrides, [f"data.root={roots[name.partition('_')[0]]}"])
    outcomes = {name: trained(name, *job, options.work) for name, job in jobs.items()}
    for name, picture in pictures(options.work).items():
        save_small(picture, IMAGES / f"{name}.png")
    PAGE.write_text(page(outcomes, max(load, os.getloadavg()[0])), encoding="utf-8")
    print(f"{PAGE}, {IMAGES}")


def trained(name: str, overrides: list[str], place: list[str], work: Path) -> Outcome:
    """Train as a user would, unless that has been done before."""
    file = work / f"{name}.json"
    if file.exists():
        return Outcome(**json.loads(file.read_text()))
    quiet = ["runtime.dashboard=none", "runtime.progress=false", f"hydra.run.dir=runs/{name}"]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, str(ROOT / "train.py"), *overrides, *place, *quiet]
    subprocess.run(command, check=True, cwd=work)
    seconds = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    run = work / "runs" / name
    conf = composed(run)
    key = build.build_metric(conf.data).key
    rows = [row for _, row in read_metrics(run / "metrics.jsonl").rows if f"val/{key}" in row]
    scores = [row[f"val/{key}"] for row in rows]
    sizes = [len(build.build_dataset(conf.data, split)) for split in ("train", "val")]
    outcome = Outcome(
        command=" ".join(["python train.py", *overrides, *["data.root=DIR"] * bool(place)]),
        task=conf.model.task.value,
        data=conf.data.name,
        score=f"{key} {max(scores):.3f}",
        first=f"{scores[0]:.3f}",
        epochs=conf.schedule.epochs,
        samples=f"{sizes[0]} / {sizes[1]}",
        seconds=seconds,
        cpu_seconds=cpu,
        seed=conf.runtime.seed,
    )
    file.write_text(json.dumps(asdict(outcome)))
    return outcome


def composed(run: Path) -> vidrec.config.schema.TrainConf:
    """The configuration of a run, with its data where they are: in the folder of all runs."""
    os.chdir(run.parent.parent)
    overrides, _ = overrides_of_run(run, [])
    return vidrec.compose(*overrides)


def lay_out(clips: Path, work: Path) -> dict[str, Path]:
    """Links to the clips in folders train/CLASS and val/CLASS, by the beginning of a job's name."""
    roots = {name: (work / name).resolve() for name in SOURCES}
    numbers = {
        word: sorted(clips.glob(f"lip_cat_coop/{word}_*"), key=lambda p: int(p.name.split("_")[1]))
        for word in ("cat", "coop")
    }
    for word, folders in numbers.items():
        for i, folder in enumerate(folders):
            split = "val" if i >= len(folders) - 6 else "train"
            link(folder / "video.mp4", roots["lip"] / split / word / f"{folder.name}.mp4")
    for split in ("train", "val"):
        for path in clips.glob(f"work_exercise/{split}/*.mp4"):
            word = path.stem.rstrip("0123456789")
            link(path, roots["exercise"] / split / word / path.name)
    return roots


def link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_symlink():
        target.symlink_to(source.resolve())


def validated(run: Path) -> tuple:
    """The metric, its rows and the dataset of a run's best epoch, and the names of the classes."""
    conf = composed(run)
    dataset = build.build_dataset(conf.data, "val")
    model, metric = vidrec.load_model(run), build.build_metric(conf.data)
    loader = build.evaluation_loader(dataset, 8, conf.runtime, Distributed())
    scores, rows = evaluate(model.net, metric, loader, conf.runtime, Distributed())
    return metric, rows, dataset, model.description.class_names, scores[metric.key]


def pictures(work: Path) -> dict[str, Image.Image]:
    """One picture for each task, the curves, and all of them below each other."""
    folder = work / "pictures"
    runs = work.resolve() / "runs"
    metric, rows, dataset, names, score = validated(runs / "tsm_tiny")
    title = f"Recognition, TSM on data=motions: {metric.key} {score:.3f}"
    records = dataset.records
    samples = load_samples(rows, dataset, names, lambda index: records[index].path, count=4)
    draw_predictions(samples, folder / "recognition.png", title)
    draw_curves(runs / "tsm_tiny" / "metrics.jsonl", folder / "curves.png", metric)
    metric, rows, dataset, _, score = validated(runs / "detector")
    title = f"Action detection, SlowOnly on data=shapes_ava: {metric.key} {score:.3f}"
    best, worst = extremes(metric.frame_precisions(rows), 2)
    chosen = [load_sample(metric, rows, dataset, *pair) for pair in [*best, *worst[:1]]]
    draw_sheet([sample for sample in chosen if sample], folder / "detection.png", title)
    metric, rows, dataset, _, score = validated(runs / "bmn")
    title = f"Temporal localization, BMN on data=shapes_anet: {metric.key} {score:.3f}"
    some = np.array([0, len(rows["index"]) // 2])
    some_rows = {name: values[some] for name, values in rows.items()}
    draw_segments(some_rows, dataset.records, folder / "localization.png", title)
    order = ("recognition", "detection", "localization", "curves")
    parts = {name: Image.open(folder / f"{name}.png").convert("RGB") for name in order}
    return parts | {"overview": stacked(list(parts.values()))}


def stacked(parts: list[Image.Image]) -> Image.Image:
    """Pictures below each other, all as wide as WIDTH."""
    resized = [p.resize((WIDTH, round(p.height * WIDTH / p.width)), 1) for p in parts]
    gap = 12
    whole = Image.new("RGB", (WIDTH, sum(part.height + gap for part in resized)), "white")
    top = 0
    for part in resized:
        whole.paste(part, (0, top))
        top += part.height + gap
    return whole


def save_small(picture: Image.Image, path: Path, limit: int = 300_000) -> None:
    """Write a PNG of fewer bytes than `limit`: with a palette, and smaller until it fits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = 256
    while True:
        with_colours(picture, colours).save(path, optimize=True)
        if path.stat().st_size < limit:
            return
        if colours > 64:
            colours //= 2
        else:
            picture = picture.resize((picture.width * 9 // 10, picture.height * 9 // 10), 1)


def with_colours(picture: Image.Image, count: int) -> Image.Image:
    """The picture with a palette, in which those that mean something are never merged."""
    own = [*COLOURS, RED, "white", "black", TEXT, *(CORRECT, WRONG, MISSED, PLAIN, DARK)]
    swatches = Image.new("RGB", (picture.width, picture.height + 24 * len(own)))
    swatches.paste(picture)
    for number, colour in enumerate(own):
        top = picture.height + 24 * number
        swatches.paste(colour, (0, top, picture.width, top + 24))
    return picture.quantize(palette=swatches.quantize(count), dither=Image.Dither.NONE)


def page(outcomes: dict[str, Outcome], load: float) -> str:
    """docs/results.md"""
    cores = os.cpu_count() or 1
    shared = (
        f"The machine was shared with other work (load average {load:.1f} on {cores} cores), so "
        "what a training needs is the CPU time; the time that passed depends on the other work."
        if load > cores + 0.5
        else "Nothing else ran on the machine."
    )
    lines = [
        "# Results",
        "",
        "What small networks reach when they are trained from scratch on the embedded examples, "
        "with nothing downloaded"
        + (", and on two sets of real clips." if len(outcomes) > len(EMBEDDED) else "."),
        "`python benchmarks/results.py` trains all of it again and writes this page and its "
        "pictures. CPU time is that of the whole command, with the example data if it wrote them.",
        "",
        f"{datetime.date.today():%B %Y}: {processor()}, {cores} cores, no GPU; "
        f"vidrec {vidrec.__version__}, PyTorch {torch.__version__}, Python "
        f"{platform.python_version()}. {shared}",
        "",
        "![Predictions, detections, segments and curves](images/overview.png)",
        "",
        "| command | task | data | training / validation samples | best epoch | first epoch | "
        "epochs | CPU time | time | seed |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, o in outcomes.items():
        data = f"`{o.data}`" if name in EMBEDDED else f"{name.partition('_')[0]} (below)"
        lines.append(
            f"| `{o.command}` | {o.task} | {data} | {o.samples} | {o.score} | {o.first} | "
            f"{o.epochs} | {clock(o.cpu_seconds)} | {clock(o.seconds)} | {o.seed} |"
        )
    if len(outcomes) > len(EMBEDDED):
        lines += ["", "The real clips are not part of vidrec:", ""]
        lines += [f"- {name}: {text}." for name, text in SOURCES.items()]
        lines += [
            "",
            "With so few clips a score moves in steps of "
            "1/12 and 1/4, and the best epoch is chosen on the same clips: the numbers show that "
            "the chain works on real footage, not how well a method does.",
        ]
    lines += [
        "",
        "Each task by itself: [recognition](images/recognition.png), "
        "[detection](images/detection.png), [localization](images/localization.png), "
        "[curves](images/curves.png). In pictures of clips and boxes, red is wrong and green is "
        "right; in timelines, the ground truth is green.",
    ]
    return "\n".join(lines) + "\n"


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def processor() -> str:
    """The name of the CPU, as /proc/cpuinfo has it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
