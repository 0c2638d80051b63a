"""Extract features of videos with a recognition network, in windows that slide over them."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch.utils.data import DataLoader

from vidrec import build
from vidrec.config.schema import ClipDataConf, ExtractConf, RecognizerConf
from vidrec.data.video.listing import by_name, list_videos
from vidrec.engine import distributed
from vidrec.engine.setup import net_to_device, set_torch_options
from vidrec.files.arrays import npz_shapes, read_npz
from vidrec.files.atomic_write import atomic_write
from vidrec.files.output_folder import check_output_folder, locked, mark_output_folder
from vidrec.files.signature import version_of
from vidrec.files.text_files import read_json_file
from vidrec.inference.feature_windows import (
    Chunks,
    WindowFeatures,
    Windows,
    choose_windows,
    measures,
)
from vidrec.models.recognizer import Recognizer
from vidrec.progress import ProgressBar, print_above
from vidrec.weights.extractor import Extractor, lasting

INDEX = "features.json"


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
        features = WindowFeatures(
            net, conf.checkpoint, conf.runtime.precision, conf.model.allow_non_finite
        )
        output = Output(Path(conf.out), extractor_of(conf, features.weights))
        output.check(video.name for video in videos)
        missing = [video for video in videos if not output.has(video)]
        dist.barrier()  # every rank has seen what is missing before the first writes something
        if dist.rank == 0:
            again = sum(output.file(video.name).is_file() for video in missing)
            why = f", {again} of them again because the video has changed" if again else ""
            print(f"{features.loaded}\n{len(videos)} videos in {root}, {len(missing)} to do{why}")
            mark_output_folder(output.folder, output.settings, output.extractor.notes)
        net_to_device(net, dist.device).eval()
        write_features(features, missing[dist.rank :: dist.world], output, conf, dist)
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


def windows_of(conf: ExtractConf) -> Windows:
    """The windows of the configuration."""
    assert isinstance(conf.model, RecognizerConf)
    return choose_windows(conf.model.clip, conf.window, conf.stride, conf.chunk)


def extractor_of(conf: ExtractConf, weights: str) -> Extractor:
    """What the features are made with; weights: their hash."""
    assert isinstance(conf.data, ClipDataConf)
    assert conf.checkpoint is not None
    windows = windows_of(conf)
    return Extractor(
        weights=weights,
        net=conf.model.net,
        crops=conf.crops,
        steps=conf.data.transforms[conf.crops],
        window=windows.window,
        stride=windows.stride,
        frames=windows.num_frames,
        precision=conf.runtime.precision.value,
        checkpoint=lasting(conf.checkpoint),
    )


@dataclass(frozen=True)
class Output:
    """The folder of features, NAME.npz and features.json, and what they are made with."""

    folder: Path
    extractor: Extractor

    @property
    def settings(self) -> dict[str, str]:
        """What the features depend on besides the video."""
        return self.extractor.settings

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
            raise ValueError(f"{path} was made with other settings; use another output folder")
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


def write_features(
    features: WindowFeatures,
    videos: Sequence[Video],
    output: Output,
    conf: ExtractConf,
    dist: distributed.Distributed,
) -> None:
    """Extract and write the features of one video after the other; unreadable ones are named."""
    assert isinstance(conf.data, ClipDataConf)
    windows = windows_of(conf)
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
        parts.setdefault(number, []).append(features(chunk, str(video.path)))
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
            measured = measures(num_features, num_frames, fps, int(content["stride"]))
            measured["num_features"] = num_features
            kept = {k: v for k, v in listed.get(name, {}).items() if k not in measured}
            listed[name] = measured | {"annotations": []} | kept
        with atomic_write(output.folder / INDEX, "w") as stream:
            json.dump(listed, stream, indent=1)
