"""Extract features of videos with a recognition network, in windows that slide over them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from vidrec import build
from vidrec.config.schema import ClipDataConf, ExtractConf, RecognizerConf
from vidrec.data.clips.batch import ViewBatch
from vidrec.data.clips.collate import ViewSample, collate_clips
from vidrec.data.collate import to_device
from vidrec.data.transforms.pipeline import Pipeline, Step
from vidrec.data.video.listing import list_videos
from vidrec.data.video.pyav import VideoError, VideoReader
from vidrec.engine import distributed
from vidrec.engine.evaluate import autocast
from vidrec.engine.setup import net_to_device, set_torch_options
from vidrec.files.atomic_write import atomic_write
from vidrec.models.recognizer import Recognizer
from vidrec.progress import ProgressBar
from vidrec.weights.load import load_weights


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
                yield {"number": number, "error": str(error)}

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


def extract_run(conf: ExtractConf) -> None:
    """Write the features of every video of `conf.videos` to `conf.out`; existing files are kept."""
    if not isinstance(conf.data, ClipDataConf) or conf.data.stack != 1:
        raise ValueError("features are extracted from RGB videos: choose a model for RGB clips")
    dist = distributed.start(conf.runtime.device, conf.runtime.dist_timeout_minutes)
    try:
        set_torch_options(conf.runtime)
        root, paths = list_videos(conf.videos)
        windows = choose_windows(conf)
        settings = (
            f"{conf.checkpoint} {windows.window} {windows.stride} {windows.num_frames} {conf.crops}"
        )
        output = Output(root, Path(conf.out), settings)
        missing = [path for path in paths if not output.is_done(path)]
        mine = missing[dist.rank :: dist.world]
        net = build.build_net(conf.model)
        assert isinstance(net, Recognizer)
        if conf.checkpoint is None:
            raise ValueError(
                "missing weights: pass run=DIR, checkpoint=FILE or checkpoint=zoo://NAME"
            )
        loaded = load_weights(net, conf.checkpoint, min_backbone=1.0)
        net_to_device(net, dist.device).eval()
        if dist.rank == 0:
            print(f"{loaded}\n{len(paths)} videos in {root}, {len(missing)} to do")
        failed = write_features(net, mine, output, conf, dist)
        for path, reason in failed:
            print(f"warning: skipped {path}: {reason}", flush=True)
        dist.barrier()
        if dist.rank == 0:
            index = write_index(paths, output)
            print(f"{conf.out}: {index} of {len(paths)} videos, listed in features.json")
    finally:
        dist.stop()


def choose_windows(conf: ExtractConf) -> Windows:
    """The default window is as long as a training clip, or 64 frames for models over segments."""
    assert isinstance(conf.model, RecognizerConf)
    clip = conf.model.clip
    num_frames = clip.frames_per_view or clip.frames * clip.clips
    window = conf.window or (num_frames * clip.interval if clip.frames_per_view else 64)
    stride = conf.stride or max(1, window // 2)
    return Windows(window, stride, num_frames, conf.chunk)


@dataclass(frozen=True)
class Output:
    """The folder of features, and the settings they are made with."""

    root: Path  # names of videos are relative to it
    out: Path
    settings: str

    def file(self, video: Path) -> Path:
        """The file of a video's features."""
        inside = video.relative_to(self.root) if video.is_relative_to(self.root) else video.name
        return (self.out / inside).with_suffix(".npz")

    def is_done(self, video: Path) -> bool:
        """Whether the features exist. Raises ValueError if they were made with other settings."""
        path = self.file(video)
        if not path.is_file():
            return False
        with np.load(path) as content:
            made = str(content["settings"])
        if made != self.settings:
            raise ValueError(
                f"{path} was made with other settings ({made}, not {self.settings}); "
                "use another out=FOLDER"
            )
        return True


@torch.no_grad()
def write_features(
    net: Recognizer,
    paths: Sequence[Path],
    output: Output,
    conf: ExtractConf,
    dist: distributed.Distributed,
) -> list[tuple[Path, str]]:
    """Extract and write one video after the other; returns (file, reason) of unreadable ones."""
    assert isinstance(conf.data, ClipDataConf)
    windows = choose_windows(conf)
    loader = DataLoader(
        Chunks(paths, windows, build.build_steps(conf.data, conf.crops)),
        batch_size=None,
        num_workers=min(build.num_workers(conf.runtime, dist), len(paths)),
    )
    bar = ProgressBar(conf.runtime.progress and dist.rank == 0)
    inputs = Inputs(net.cls_head)
    parts: dict[int, list[np.ndarray]] = {}
    failed, done = [], 0
    for chunk in loader:
        number = int(chunk["number"])
        path = paths[number]
        if "error" in chunk:
            failed.append((path, chunk["error"]))
            parts.pop(number, None)
            continue
        batch = to_device(chunk["batch"], dist.device)
        with autocast(dist.device, conf.runtime.precision):
            net.predict(batch)
        crops = int(chunk["crops"])
        features = inputs.taken().unflatten(0, (-1, crops)).mean(dim=1)
        parts.setdefault(number, []).append(features.half().cpu().numpy())
        if sum(map(len, parts[number])) == int(chunk["total"]):
            with atomic_write(output.file(path)) as stream:
                np.savez(
                    stream,
                    feature=np.concatenate(parts.pop(number)),
                    num_frames=int(chunk["num_frames"]),
                    fps=float(chunk["fps"]),
                    stride=windows.stride,
                    settings=output.settings,
                )
            done += 1
            bar.show(done, len(paths), "extracting")
    bar.close()
    inputs.remove()
    return failed


class Inputs:
    """Captures the inputs of the last linear layer of a head: the features of a clip."""

    def __init__(self, head: nn.Module) -> None:
        linear = [module for module in head.modules() if isinstance(module, nn.Linear)]
        if not linear:
            raise ValueError(f"{type(head).__name__} has no linear layer to take features from")
        self._parts: list[Tensor] = []
        self._hook = linear[-1].register_forward_pre_hook(
            lambda _, inputs: self._parts.append(inputs[0].float())
        )

    def taken(self) -> Tensor:
        """(B, C) float32, everything since the last call."""
        features = torch.cat(self._parts)
        self._parts.clear()
        return features

    def remove(self) -> None:
        self._hook.remove()


def write_index(paths: Sequence[Path], output: Output) -> int:
    """Write features.json, in ActivityNet's format of annotations; returns its number of videos."""
    videos = {}
    for path in paths:
        file = output.file(path)
        if not file.is_file():
            continue
        with np.load(file) as content:
            num_frames, fps = int(content["num_frames"]), float(content["fps"])
            num_features = len(content["feature"])
            videos[file.relative_to(output.out).with_suffix("").as_posix()] = {
                "duration_frame": num_frames,
                "duration_second": num_frames / fps if fps else float(num_frames),
                "feature_frame": num_features * int(content["stride"]),
                "num_features": num_features,
                "annotations": [],
            }
    with atomic_write(output.out / "features.json", "w") as stream:
        json.dump(videos, stream, indent=1)
    return len(videos)
