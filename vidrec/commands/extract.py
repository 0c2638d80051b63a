"""Extract features of videos with a recognition network, in windows that slide over them."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypedDict, cast

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from vidrec import build
from vidrec.config.schema import ClipDataConf, ExtractConf, RecognizerConf
from vidrec.data.clips.batch import ViewBatch
from vidrec.data.clips.collate import ViewSample, collate_clips
from vidrec.data.collate import to_device
from vidrec.data.transforms.pipeline import Pipeline, Step
from vidrec.data.video.listing import by_name, list_videos
from vidrec.data.video.pyav import VideoError, VideoReader
from vidrec.engine import distributed
from vidrec.engine.evaluate import autocast
from vidrec.engine.setup import net_to_device, set_torch_options
from vidrec.files.arrays import npz_shapes, read_npz
from vidrec.files.atomic_write import atomic_write
from vidrec.files.output_folder import check_output_folder, locked, mark_output_folder
from vidrec.files.signature import version_of
from vidrec.files.text_files import read_json_file
from vidrec.models.features import ClassifierInput, classifier_of, in_half_precision
from vidrec.models.recognizer import Recognizer
from vidrec.progress import ProgressBar, print_above
from vidrec.weights.digest import digest_of
from vidrec.weights.load import load_all

INDEX = "features.json"


@dataclass(frozen=True)
class Windows:
    """Windows of `window` frames around the centres of stretches of `stride` frames.

    num_frames: sampled evenly from each window. chunk: windows per forward pass.
    """

    window: int
    stride: int
    num_frames: int
    chunk: int

    def __call__(self, length: int) -> np.ndarray:
        """Frame indices (T, num_frames) for a video of `length` frames; T = length / stride.

        Windows that reach past an end repeat the first or the last frame.
        """
        centres = (np.arange(max(1, length // self.stride)) + 0.5) * self.stride
        within = (np.arange(self.num_frames) + 0.5) * self.window / self.num_frames
        indices = np.floor(centres[:, None] - self.window / 2 + within).astype(np.int64)
        return indices.clip(0, length - 1)


class Chunk(TypedDict, total=False):
    """A few windows of one video, or `number` and `error` of an unreadable file."""

    number: int  # of the video
    error: str
    batch: ViewBatch  # one sample
    crops: int  # of each window
    num_frames: int  # of the video
    fps: float  # 0 if unknown
    total: int  # windows of the video


class Chunks(IterableDataset):
    """The windows of videos, a few at a time; each video is read by one worker."""

    def __init__(self, paths: Sequence[Path], windows: Windows, steps: dict[str, Step]) -> None:
        self.paths = paths
        self.windows = windows
        self.transforms = Pipeline(steps)
        self.reader = VideoReader(accurate=True)

    def __iter__(self) -> Iterator[Chunk]:
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        for number in range(first, len(self.paths), step):
            try:
                yield from self._chunks(number)
            except VideoError as error:
                path = self.paths[number]
                yield {"number": number, "error": str(error).removeprefix(f"{path}: ")}

    def _chunks(self, number: int) -> Iterator[Chunk]:
        rng = np.random.default_rng(0)  # unused: nothing is random in evaluation
        with self.reader.open(str(self.paths[number])) as source:
            views = self.windows(source.num_frames)
            plan = self.transforms.plan(source.width, source.height, rng)
            crops = np.array(plan.crops or [(0, 0, plan.size[1], plan.size[0], 0)], dtype=np.int64)
            for start in range(0, len(views), self.windows.chunk):
                part = views[start : start + self.windows.chunk]
                distinct, row = np.unique(part, return_inverse=True)
                video = self.transforms.finish(source.read(distinct.tolist(), plan), rng)
                sample: ViewSample = {
                    "video": video,
                    "frames": np.repeat(row.reshape(part.shape), len(crops), axis=0),
                    "crop": np.tile(crops, (len(part), 1)),
                    "label": np.zeros(1, np.int64),
                    "index": np.array([number]),
                }
                yield {
                    "number": number,
                    "batch": cast(ViewBatch, collate_clips([sample])),
                    "crops": len(crops),
                    "num_frames": source.num_frames,
                    "fps": source.fps or 0.0,
                    "total": len(views),
                }


class Video(NamedTuple):
    name: str  # of its features
    path: Path
    version: str  # see `version_of`; features of another one are out of date


def extract_run(conf: ExtractConf) -> None:
    """Write the features of every video of `conf.videos` to `conf.out`.

    Those that are there stay, unless their video has changed. Raises ValueError if they were made
    with other settings or weights, and at the end if a video could not be read.
    """
    if not isinstance(conf.data, ClipDataConf) or conf.data.stack != 1:
        raise ValueError("features are extracted from RGB videos: choose a model for RGB clips")
    if conf.checkpoint is None:
        raise ValueError("missing weights: pass run=DIR, checkpoint=FILE or checkpoint=zoo://NAME")
    dist = distributed.start(conf.runtime.device, conf.runtime.dist_timeout_minutes)
    try:
        set_torch_options(conf.runtime)
        root, paths = list_videos(conf.videos)
        videos = [
            Video(name, path, version_of(path)) for name, path in by_name(root, paths).items()
        ]
        net = build.build_net(conf.model)
        assert isinstance(net, Recognizer)
        loaded = load_all(
            net,
            conf.checkpoint,
            but=("cls_head.", f"{classifier_of(net)}."),
            allow_non_finite=conf.model.allow_non_finite,
        )
        features = ClassifierInput(net, untrained=loaded.missing)
        output = Output(Path(conf.out), settings_of(conf, digest_of(net, loaded.loaded)))
        output.check(video.name for video in videos)
        missing = [video for video in videos if not output.has(video)]
        dist.barrier()  # every rank has seen what is missing before the first writes something
        if dist.rank == 0:
            again = sum(output.file(video.name).is_file() for video in missing)
            why = f", {again} of them again because the video has changed" if again else ""
            print(f"{loaded}\n{len(videos)} videos in {root}, {len(missing)} to do{why}")
            mark_output_folder(output.folder, output.settings)
        net_to_device(net, dist.device).eval()
        write_features(net, features, missing[dist.rank :: dist.world], output, conf, dist)
        dist.barrier()
        if dist.rank == 0:
            finish(videos, output)
    finally:
        dist.stop()


def finish(videos: Sequence[Video], output: "Output") -> None:
    """Write features.json. Raises ValueError if a video has no features."""
    done = {video.name for video in videos if output.has(video)}
    write_index(sorted(done), output)
    print(f"{output.folder}: {len(done)} of {len(videos)} videos, listed in features.json")
    if absent := [str(video.path) for video in videos if video.name not in done]:
        more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
        raise ValueError(
            f"{len(absent)} of {len(videos)} videos have no features, for the reasons above: "
            f"{', '.join(absent[:5])}{more}; repair them and repeat the command"
        )


def choose_windows(conf: ExtractConf) -> Windows:
    """The default window is as long as a training clip, or 64 frames for models over segments."""
    assert isinstance(conf.model, RecognizerConf)
    clip = conf.model.clip
    num_frames = clip.frames_per_view or clip.frames * clip.clips
    window = conf.window or (num_frames * clip.interval if clip.frames_per_view else 64)
    stride = conf.stride or max(1, window // 2)
    return Windows(window, stride, num_frames, conf.chunk)


def settings_of(conf: ExtractConf, weights: str) -> dict[str, str]:
    """What features depend on besides the video, by name; weights: their hash."""
    assert isinstance(conf.data, ClipDataConf)
    windows = choose_windows(conf)
    steps = conf.data.transforms[conf.crops]
    return {
        "command": "vidrec extract",
        "weights": weights,
        "model.net": json.dumps(conf.model.net, sort_keys=True),
        f"data.transforms.{conf.crops}": json.dumps(steps),  # in their order
        "window": str(windows.window),
        "stride": str(windows.stride),
        "frames": str(windows.num_frames),
        "precision": conf.runtime.precision.value,
    }


@dataclass(frozen=True)
class Output:
    """The folder of features, NAME.npz and features.json, and what they are made with."""

    folder: Path
    settings: dict[str, str]

    @property
    def made_with(self) -> str:
        """A hash of the settings, which every file has."""
        return hashlib.sha256(json.dumps(self.settings).encode()).hexdigest()

    def file(self, name: str) -> Path:
        """The file of a video's features."""
        return self.folder / f"{name}.npz"

    def check(self, names: Iterable[str]) -> None:
        """Raise an error if the features of these videos must not be written."""
        files = [f"{name}.npz" for name in names]
        check_output_folder(self.folder, self.settings, [*files, INDEX])
        self.listed()

    def has(self, video: Video) -> bool:
        """Whether the features of this version of a video are there.

        Raises ValueError if its file is another command's.
        """
        path = self.file(video.name)
        if not path.is_file():
            return False
        try:
            content = read_npz(path, ["settings", "source"])
        except ValueError as error:
            raise ValueError(f"{error}; delete it, or move it if it is yours") from None
        if str(content["settings"]) != self.made_with:
            raise ValueError(f"{path} was made with other settings; use another out=FOLDER")
        return str(content["source"]) == video.version

    def listed(self) -> dict[str, dict[str, object]]:
        """The content of features.json. Raises ValueError if something else is in it."""
        path = self.folder / INDEX
        if not path.is_file():
            return {}
        content = read_json_file(str(path))
        if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
            raise ValueError(f"{path} is not the list of videos that was written there: move it")
        return content


@torch.no_grad()
def write_features(
    net: Recognizer,
    features: ClassifierInput,
    videos: Sequence[Video],
    output: Output,
    conf: ExtractConf,
    dist: distributed.Distributed,
) -> None:
    """Extract and write the features of one video after the other; unreadable ones are named."""
    assert isinstance(conf.data, ClipDataConf)
    windows = choose_windows(conf)
    steps = build.build_steps(conf.data, conf.crops)
    loader = DataLoader(
        Chunks([video.path for video in videos], windows, steps),
        batch_size=None,
        num_workers=min(build.num_workers(conf.runtime, dist), len(videos)),
    )
    bar = ProgressBar(conf.runtime.progress and dist.rank == 0)
    parts: dict[int, list[np.ndarray]] = {}
    done = 0
    for chunk in loader:
        number = int(chunk["number"])
        video = videos[number]
        if "error" in chunk:
            print_above(f"warning: skipped {video.path}: {chunk['error']}")
            parts.pop(number, None)
            continue
        batch = to_device(chunk["batch"], dist.device)
        with autocast(dist.device, conf.runtime.precision):
            net.predict(batch)
        views = features.take(batch["frames"].shape[1])
        rows = views.unflatten(0, (-1, int(chunk["crops"]))).mean(dim=1)
        parts.setdefault(number, []).append(in_half_precision(rows, str(video.path)))
        if sum(map(len, parts[number])) == int(chunk["total"]):
            with atomic_write(output.file(video.name)) as stream:
                np.savez(
                    stream,
                    feature=np.concatenate(parts.pop(number)),
                    num_frames=int(chunk["num_frames"]),
                    fps=float(chunk["fps"]),
                    stride=windows.stride,
                    settings=output.made_with,
                    source=video.version,
                )
            done += 1
            bar.show(done, len(videos), "extracting")
    bar.close()


def write_index(names: Sequence[str], output: Output) -> None:
    """Add videos to features.json, in ActivityNet's format of annotations.

    What else is there stays: other videos, and the annotations that were filled in.
    """
    with locked(output.folder):
        listed = output.listed()
        for name in names:
            file = output.file(name)
            content = read_npz(file, ["num_frames", "fps", "stride"])
            num_frames, fps = int(content["num_frames"]), float(content["fps"])
            num_features = npz_shapes(file)["feature"][0]
            measured = {
                "duration_frame": num_frames,
                "duration_second": num_frames / fps if fps else float(num_frames),
                "feature_frame": num_features * int(content["stride"]),
                "num_features": num_features,
            }
            kept = {k: v for k, v in listed.get(name, {}).items() if k not in measured}
            listed[name] = measured | {"annotations": []} | kept
        with atomic_write(output.folder / INDEX, "w") as stream:
            json.dump(listed, stream, indent=1)
