"""Say what happens in videos: actions, persons with their actions, or segments in time."""

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from vidrec.errors import told_in_a_sentence, wants_tracebacks
from vidrec.progress import print_above

if TYPE_CHECKING:  # `--help` answers without torch
    from vidrec.config.schema import Node
    from vidrec.data.video.live import LiveSource
    from vidrec.engine.distributed import Distributed
    from vidrec.inference.batch import Batch
    from vidrec.inference.network import Network
    from vidrec.inference.options import Options
    from vidrec.inference.prediction import Prediction
    from vidrec.inference.saved import SavedPredictions
    from vidrec.inference.sources import Found
    from vidrec.inference.trained import TrainedModel

WRONG_USAGE, INTERRUPTED = 2, 130  # exit status
PICTURES = ("video", "timeline")
LONG = 120  # seconds: a longer video hardly shows one action alone

_EXAMPLES = """examples:
  vidrec predict video.mp4 --model runs/NAME
  vidrec predict videos/ --model runs/NAME --out predictions
  vidrec predict match.mp4 --model runs/NAME --every 1 --out match --video --timeline
  vidrec predict *.mp4 --model zoo://STEM --names classes.txt --top 3
  vidrec predict list.txt --model best.pt --json > predictions.jsonl
  vidrec predict camera:0 --model runs/NAME --every 1
  find . -name '*.avi' | vidrec predict - --model runs/NAME
"""

# Fields of `vidrec.inference.options.Options` that only some tasks have.
TASKS_OF = {
    "every": ("recognition", "detection"),
    "detector": ("detection",),
    "detector_weights": ("detection",),
    "threshold": ("detection",),
    "proposals": ("detection",),
    "min_score": ("detection", "localization"),
    "extractor": ("localization",),
    "features": ("localization",),
    "classifier": ("localization",),
}
_TIMES_ONLY = {"batch_size"}  # what predictions do not depend on


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command's options; those of `Options` only if they were given."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="a video file, a folder at any depth, a text file with a path in each line, - for "
        "such lines from standard input; or one live source: camera:0, rtsp://..., https://...",
    )
    parser.add_argument(
        "--model",
        required=True,
        metavar="RUN|FILE|zoo://STEM",
        help="a run directory, a checkpoint, or a published recipe",
    )
    _add_output(parser.add_argument_group("output"))
    given: dict[str, Any] = {"default": argparse.SUPPRESS}
    _add_shared(parser.add_argument_group("how"), given)
    _add_of_tasks(parser, given)
    parsed = parser.parse_args(arguments)
    for picture in PICTURES:
        if getattr(parsed, picture) and parsed.out is None:
            parser.error(f"--{picture} is written beside the other results: pass --out DIR too")
    return parsed


def _add_output(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="folder for a JSON file of each video and predictions.csv; what is there is not "
        "repeated. Of a live source: a file that gets a line of JSON for each label",
    )
    group.add_argument(
        "--json", action="store_true", help="print one line of JSON per video, and nothing else"
    )
    group.add_argument(
        "--video", action="store_true", help="with --out: also the video with what was predicted"
    )
    group.add_argument(
        "--timeline", action="store_true", help="with --out: also a figure over the time of a video"
    )


def _add_shared(group: argparse._ArgumentGroup, given: dict[str, Any]) -> None:
    group.add_argument(
        "--top", dest="topk", type=_count, metavar="K", help="classes that are named (5)", **given
    )
    group.add_argument(
        "--names", metavar="FILE", help="class names, one per line, in order of label", **given
    )
    group.add_argument(
        "--batch-size", type=_count, metavar="N", help="clips of one forward pass (8)", **given
    )
    group.add_argument("--device", default="auto", help="auto, cpu or cuda")
    group.add_argument(
        "--precision", default="fp32", choices=("fp32", "bf16", "fp16"), help="of the network"
    )
    group.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="a package whose classes the checkpoint may name; repeat it for several",
    )


def _add_of_tasks(parser: argparse.ArgumentParser, given: dict[str, Any]) -> None:
    group = parser.add_argument_group("recognition and detection")
    group.add_argument(
        "--every",
        type=_seconds,
        metavar="SECONDS",
        help="recognition: length of the parts with a label of their own; detection: from one key "
        "frame to the next (1)",
        **given,
    )
    group = parser.add_argument_group("detection")
    group.add_argument("--detector", metavar="NAME", help="person detector of torchvision", **given)
    group.add_argument("--detector-weights", metavar="FILE", help="its checkpoint", **given)
    group.add_argument(
        "--threshold", type=_score, metavar="SCORE", help="least score of a person (0.9)", **given
    )
    group.add_argument(
        "--proposals", metavar="FILE", help="boxes of persons, in place of a detector", **given
    )
    group = parser.add_argument_group("detection and localization")
    group.add_argument(
        "--min-score",
        type=_score,
        metavar="SCORE",
        help="least score of an action or a segment",
        **given,
    )
    group = parser.add_argument_group("localization")
    group.add_argument(
        "--extractor", metavar="MODEL", help="network that extracts the features", **given
    )
    group.add_argument("--features", metavar="DIR", help="extracted features instead", **given)
    group.add_argument(
        "--classifier", metavar="MODEL", help="recognition network that names segments", **given
    )
    group = parser.add_argument_group("live sources")
    group.add_argument(
        "--follow", action="store_true", help="SOURCE is a file that is still being written"
    )
    group.add_argument(
        "--wait", action="store_true", help="drop no frame, even if labels fall behind"
    )
    group.add_argument(
        "--timeout",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="without new data the source counts as ended (10)",
    )


def _count(text: str) -> int:
    with contextlib.suppress(ValueError):
        if int(text) > 0:
            return int(text)
    raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 on")


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(f"'{text}' is not a positive number of seconds")


def _score(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"'{text}' is not a score from 0 to 1")


def main(arguments: list[str]) -> None:
    """Entry point of `vidrec predict`."""
    given = parse(arguments)
    with told_in_a_sentence():
        try:
            predict(given)
        except KeyboardInterrupt:
            if wants_tracebacks():
                raise
            kept = (
                f"; what is done is in {given.out}, the same command goes on" if given.out else ""
            )
            note(f"interrupted{kept}")
            raise SystemExit(INTERRUPTED) from None


def predict(given: argparse.Namespace) -> None:
    """Predict on every video of the sources; ends the program with 1 if one of them failed."""
    # Imported here so that `--help` answers at once.
    from vidrec.engine import distributed
    from vidrec.engine.setup import net_to_device
    from vidrec.inference.network import Network

    source = live_source_of(given)
    found = None if source else videos_of(given)
    dist = distributed.start(device_of(given.device))
    try:
        if dist.world > 1:
            check_for_ranks(given, source is not None)
        model = model_of(given)
        options = options_of(given, model.description.task)
        net = net_to_device(model.net, dist.device).eval()
        network = Network(net, model.description, model.source)
        if dist.rank == 0:
            for hint in hints(network, options):
                note(hint)
        if found:
            found = videos_for(network, found)
            all_done = predict_files(given, found, network, options, dist)
        else:
            assert source
            all_done = predict_live(given, source, network, options)
        if not all_done:
            raise SystemExit(1)
    finally:
        dist.stop()


def model_of(given: argparse.Namespace) -> "TrainedModel":
    """The network of `--model`. Raises ValueError if there is none, or it does not fit."""
    import torch

    from vidrec.api import load_model
    from vidrec.weights.sources import NotDownloaded

    try:
        return load_model(given.model, given.trust)
    except NotDownloaded as error:
        problem = str(error).rpartition("; ")[0] or str(error)
        cache = f"{torch.hub.get_dir()}/checkpoints"
        raise ValueError(f"{problem}; without a network, put the file into {cache}") from None


def predict_files(
    given: argparse.Namespace,
    found: "Found",
    network: "Network",
    options: "Options",
    dist: "Distributed",
) -> bool:
    """Predict on files; returns whether all of them, and all sources, could be read."""
    from vidrec.inference.batch import Batch
    from vidrec.inference.predictors import predictor_of

    output = output_of(given, network, options)
    names = found.names() if output else found.paths
    videos = dict(zip(names, found.paths, strict=True))
    pictures = [name for name in PICTURES if getattr(given, name)]
    predictor = predictor_of(network, options)
    batch = Batch(videos, predictor, output, pictures, given.precision, dist)
    done = batch.done()
    if dist.rank == 0:
        for problem in found.problems:
            note(f"error: {problem}")
    top = options.topk if hasattr(given, "topk") else None
    all_done = batch.run(done, Printer(found.paths, given.json, top, options), note)
    if dist.rank == 0:
        finish(batch, network.description.task, given.json)
    dist.barrier()  # torchrun ends the other ranks when one fails
    return all_done and not found.problems


def predict_live(
    given: argparse.Namespace, source: "LiveSource", network: "Network", options: "Options"
) -> bool:
    """Label a live source until it ends or Ctrl-C is pressed."""
    from vidrec.config.schema import Precision
    from vidrec.data.video.decoder import VideoError
    from vidrec.engine.evaluate import autocast
    from vidrec.inference import live

    top = options.topk if hasattr(given, "topk") else 1
    try:
        with autocast(network.device, Precision(given.precision)):
            status = live.run(network, options, source, given.out, given.json, top)
    except VideoError as error:
        raise ValueError(str(error)) from None
    return status == 0


def finish(batch: "Batch", task: str, as_json: bool) -> None:
    """Write the table of the output folder, and say what is there."""
    if batch.output is None:
        return
    unsaved = batch.unsaved()
    batch.output.write_table(task, but=unsaved)
    total = len(batch.videos)
    text = f"{batch.output.folder}: {total - len(unsaved)} of {total} videos, predictions.csv"
    print(text, file=sys.stderr if as_json else None, flush=True)


def live_source_of(given: argparse.Namespace) -> "LiveSource | None":
    """The source if it is live; ends the program if it is not the only one."""
    from vidrec.inference.sources import is_live

    live = [source for source in given.sources if given.follow or is_live(source)]
    if not live:
        return None
    if len(given.sources) > 1:
        _wrong_usage(f"{live[0]} is live: pass no other source")
    if pictures := [name for name in PICTURES if getattr(given, name)]:
        _wrong_usage(f"--{pictures[0]} is for files, but {live[0]} is live")
    from vidrec.data.video.live import LiveSource

    return LiveSource(live[0], given.follow, given.wait, given.timeout)


def check_for_ranks(given: argparse.Namespace, is_live: bool) -> None:
    """Raise ValueError for what several ranks cannot share."""
    if is_live:
        raise ValueError(f"{given.sources[0]} is live: start one process, without torchrun")
    if given.out is None or "-" in given.sources:
        raise ValueError("several ranks need files: pass --out DIR, and a list instead of -")


def videos_of(given: argparse.Namespace) -> "Found":
    """The videos of the sources. Raises ValueError if there are none."""
    from vidrec.inference.sources import STANDARD_INPUT, find_videos

    lines = sys.stdin if STANDARD_INPUT in given.sources else ()
    found = find_videos(given.sources, lines)
    if not found.paths:
        raise ValueError("; ".join(found.problems))
    return found


def videos_for(network: "Network", found: "Found") -> "Found":
    """The videos that the network can read. Raises ValueError if there are none."""
    reader = network.description.preprocessing.get("reader") or {}
    if str(reader.get("_target_")).endswith(".FrameReader"):
        return found
    found = found.without_frames()
    if not found.paths:
        raise ValueError("; ".join(found.problems))
    return found


def device_of(asked: str) -> str:
    """The device as `distributed.start` takes it. Raises ValueError if it is not there."""
    import torch

    kind = asked.partition(":")[0]
    if kind not in ("auto", "cpu", "cuda"):
        raise ValueError(f"--device {asked}: expected auto, cpu or cuda")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"--device {asked}: torch finds no CUDA device here; pass --device cpu")
    return asked


def options_of(given: argparse.Namespace, task: str) -> "Options":
    """The options that were given; ends the program if one of them is of another task."""
    from vidrec.inference.options import Options

    asked = {f.name: getattr(given, f.name) for f in fields(Options) if hasattr(given, f.name)}
    for name in asked:
        if name in TASKS_OF and task not in TASKS_OF[name]:
            tasks = " and ".join(TASKS_OF[name])
            message = f"{_option(name)} is for {tasks}, but {given.model} is a network for {task}"
            _wrong_usage(message)
    return Options(**asked)


def _option(name: str) -> str:
    """What a field of `Options` is called on the command line."""
    return "--top" if name == "topk" else f"--{name.replace('_', '-')}"


def _wrong_usage(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(WRONG_USAGE)


def output_of(
    given: argparse.Namespace, network: "Network", options: "Options"
) -> "SavedPredictions | None":
    """The folder of `--out` with what its files are made with."""
    from vidrec.inference.saved import SavedPredictions
    from vidrec.weights.digest import digest_of

    if given.out is None:
        return None
    description = network.description
    settings = {
        "command": "vidrec predict",
        "weights": digest_of(network.net, network.net.state_dict()),
        "net": json.dumps(description.net, sort_keys=True, default=str),
        "preprocessing": json.dumps(description.preprocessing, default=str),  # steps in order
        "class_names": json.dumps(description.class_names),
        "extractor": _without_place(description.extractor),
        "--precision": given.precision,
    }
    for name, value in vars(options).items():
        if name not in _TIMES_ONLY and description.task in TASKS_OF.get(name, [description.task]):
            settings[_option(name)] = _content_of(value)
    return SavedPredictions(given.out, settings)


def _without_place(extractor: "Node | None") -> str:
    """What features are extracted with, wherever its weights are."""
    kept = {name: value for name, value in (extractor or {}).items() if name != "checkpoint"}
    return json.dumps(kept, sort_keys=True, default=str)


def _content_of(value: object) -> str:
    """An option's value; of files and run directories what is in them, not where they are."""
    import hashlib

    path = Path(value) if isinstance(value, str) else None
    if path is None or not path.exists():
        return str(value)
    if path.is_dir():
        from vidrec.weights.run_directory import checkpoint_of_run

        try:
            path = checkpoint_of_run(path)
        except FileNotFoundError:  # a folder of features
            return str(path.resolve())
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Printer:
    """Prints predictions: a line for each of several videos, all that was found in a single one.

    as_json: as a line of JSON. top: classes that are named, None: as many as fit.
    """

    def __init__(
        self, videos: Sequence[str], as_json: bool, top: int | None, options: "Options"
    ) -> None:
        from vidrec.inference.tables import columns_of, printable

        self.as_json = as_json
        self.top = top
        self.single = len(videos) == 1
        self.width = max(columns_of(printable(video)) for video in videos)
        self.warns = options.every is None  # of the first long video

    def __call__(self, found: "Prediction") -> None:
        from vidrec.inference.tables import line, report

        if self.as_json:
            print_above(json.dumps(found.as_dict()))
        elif self.single:
            print_above(report(found, self.top))
        else:
            print_above(line(found, self.width, self.top or 1))
        if self.warns and found.task == "recognition" and (found.duration or 0) > LONG:
            self.warns = False
            note(
                f"warning: {found.video} lasts {found.duration:.0f} s, too long for one label: "
                "pass --every 1 for a label per second"
            )


def note(text: str) -> None:
    """Print a line to standard error, above the bar."""
    print_above(text, sys.stderr)


def hints(network: "Network", options: "Options") -> Iterator[str]:
    """What would make the results more useful."""
    from vidrec.inference.class_names import class_names

    names = class_names(network.description, options.names)
    if names and names == [str(number) for number in range(len(names))]:
        yield (
            f"hint: {network.source} has no class names: pass --names FILE, with one name per line "
            "in order of label"
        )
