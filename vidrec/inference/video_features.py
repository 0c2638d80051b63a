"""The features of a video that a localizer is given: extracted from it, or read from a folder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from vidrec import build
from vidrec.config.schema import ClipConf, ModelConf, Precision
from vidrec.data.segments.features import FeatureFolder
from vidrec.data.video.decoder import VideoError
from vidrec.data.video.pyav import VideoReader
from vidrec.engine.setup import net_to_device
from vidrec.files.arrays import npz_shapes, read_npz
from vidrec.inference.feature_windows import (
    Chunks,
    WindowFeatures,
    Windows,
    choose_windows,
    measures,
)
from vidrec.inference.loading import check_trust, file_of
from vidrec.inference.network import Network
from vidrec.inference.options import Options
from vidrec.models.recognizer import Recognizer
from vidrec.weights.description import description_in
from vidrec.weights.extractor import Extractor, extractor_of


@dataclass(frozen=True)
class VideoFeatures:
    """feature: (T, C) float32. measures: of the video, as annotations of segments have them."""

    feature: np.ndarray
    measures: dict[str, float]


class FeatureSource(Protocol):
    """Gives the features of one video after the other."""

    how: str  # for the line that says how a prediction was made

    def __call__(self, video: str) -> VideoFeatures:
        """Raises VideoError if the video cannot be read, or has no features."""


def feature_source(network: Network, options: Options) -> FeatureSource:
    """Where the features of a localizer's videos come from.

    Raises ValueError if neither its checkpoint nor the options say so, or if they contradict each
    other.
    """
    values = network.description.extractor
    known = None if values is None else Extractor.of_values(values, network.source)
    if options.features is not None:
        if options.extractor is not None:
            raise ValueError(
                f"extractor={options.extractor} and features={options.features} are two sources "
                "of features: give one of them"
            )
        return StoredFeatures(options.features, known, network.source)
    if known is None:
        if options.extractor is None:
            raise ValueError(
                f"{network.source} does not say which network its features came from: pass "
                "--extractor RUN, the one that they were extracted with, or --features FOLDER, "
                "the folder that `vidrec extract` wrote for these videos"
            )
        return ExtractedFeatures(_by_default(options.extractor), network.device)
    return ExtractedFeatures(_checked_place(known, network.source, options), network.device)


def _checked_place(known: Extractor, source: str, options: Options) -> Extractor:
    """The extractor with the file where its weights are."""
    way_out = (
        "pass --extractor RUN, where they are now, or --features FOLDER, the folder that "
        "`vidrec extract` wrote for these videos"
    )
    if options.extractor is not None:
        place = options.extractor
        return replace(known, checkpoint=place if "://" in place else str(file_of(place)))
    if known.checkpoint is None:
        raise ValueError(
            f"{source} does not say where the weights are that its features came from: {way_out}"
        )
    if known.checkpoint.startswith("zoo://"):
        return known
    # A checkpoint may be anybody's: what it names is only opened where it is a file.
    if "://" in known.checkpoint or not Path(known.checkpoint).is_file():
        raise ValueError(
            f"the features of {source} came from the weights {known.checkpoint}, which are not "
            f"there: {way_out}"
        )
    return known


def _by_default(source: str) -> Extractor:
    """A network as `vidrec extract run=RUN crops=test` uses it; its weights are not verified."""
    file = file_of(source)
    description = description_in(file)
    if description is None or description.task != "recognition":
        what = "no description" if description is None else f"a network for {description.task}"
        raise ValueError(
            f"extractor={source}: {file} has {what}; features are extracted by a network for "
            "recognition that vidrec trained"
        )
    check_trust(description, file)
    if description.preprocessing.get("stack", 1) != 1:
        raise ValueError(f"extractor={source}: features are extracted from RGB videos, not flow")
    windows = choose_windows(ClipConf(**description.clip))
    return Extractor(
        weights="",
        net=description.net,
        crops="test",
        steps=description.preprocessing["steps"],
        window=windows.window,
        stride=windows.stride,
        frames=windows.num_frames,
        precision=Precision.fp32.value,
        checkpoint=str(file),
    )


class ExtractedFeatures:
    """Features as `vidrec extract` writes them, of a video that is read a few windows at a time.

    Raises ValueError if the weights are not those that the extractor had.
    """

    def __init__(self, extractor: Extractor, device: torch.device, chunk: int = 8) -> None:
        assert extractor.checkpoint is not None
        net = build.build_net(ModelConf(net=extractor.net))
        if not isinstance(net, Recognizer):
            raise ValueError(
                f"{extractor.checkpoint}: features are extracted by a network for recognition, "
                f"not by {type(net).__name__}"
            )
        self.features = WindowFeatures(
            net, extractor.checkpoint, Precision(extractor.precision), bool(extractor.weights)
        )
        if extractor.weights and self.features.weights != extractor.weights:
            raise ValueError(
                f"{extractor.checkpoint} has other weights than those that the localizer's "
                "features came from: pass --extractor RUN with the run that has them"
            )
        net_to_device(net, device).eval()
        self.windows = Windows(extractor.window, extractor.stride, extractor.frames, chunk)
        self.steps = build.made_steps(extractor.steps)
        self.how = (
            f"features of {extractor.window} frames, one every {extractor.stride}, by "
            f"{extractor.checkpoint}"
        )

    def __call__(self, video: str) -> VideoFeatures:
        parts, num_frames, fps = [], 0, 0.0
        for chunk in Chunks([Path(video)], self.windows, self.steps):
            if "error" in chunk:
                raise VideoError(f"{video}: {chunk['error']}")
            parts.append(self.features(chunk, video))
            num_frames, fps = chunk["num_frames"], chunk["fps"]
        feature = np.concatenate(parts)
        found = measures(len(feature), num_frames, _checked_rate(video, fps), self.windows.stride)
        return VideoFeatures(feature.astype(np.float32), found)


class StoredFeatures:
    """Features of a folder: those of `vidrec extract`, or files without times (csv, npy, ...).

    A file is named like its video, and lies in the folder as the video does in its own. Without
    times in the file the features cover the whole video, which is opened to know its length.

    known: what the localizer's features came from, if it is known; source: its checkpoint. Raises
    ValueError if those of the folder came from elsewhere.
    """

    def __init__(self, folder: str, known: Extractor | None, source: str) -> None:
        self.folder = FeatureFolder(folder)
        own = extractor_of(folder)
        if own is not None and known is not None and own.settings != known.settings:
            names = [k for k in known.settings if own.settings.get(k) != known.settings[k]]
            raise ValueError(
                f"the features in {folder} were not extracted as those that {source} was trained "
                f"on ({', '.join(names)} differ): extract them with the same network and windows"
            )
        self.how = f"features of {folder}"

    def __call__(self, video: str) -> VideoFeatures:
        name = self._name(Path(video))
        file = self.folder.file(name)
        feature = self.folder.read(name)
        arrays = npz_shapes(file) if file.suffix == ".npz" else {}
        if {"num_frames", "fps", "stride"} <= arrays.keys():
            content = read_npz(file, ["num_frames", "fps", "stride"])
            fps = _checked_rate(video, float(content["fps"]))
            found = measures(len(feature), int(content["num_frames"]), fps, int(content["stride"]))
            return VideoFeatures(feature, found)
        with VideoReader().open(video) as source:
            seconds = source.num_frames / _checked_rate(video, source.fps or 0.0)
        return VideoFeatures(feature, {"duration_second": seconds})

    def _name(self, video: Path) -> str:
        """The name of a video in the folder: its path, without folders that are not there."""
        parts: Sequence[str] = video.with_suffix("").parts
        for start in range(len(parts)):
            name = "/".join(parts[start:])
            if name in self.folder:
                return name
        raise VideoError(
            f"{video}: {self.folder.path} has no features of it; a file there is named like its "
            f"video, as {video.stem}.npz"
        )


def _checked_rate(video: str, fps: float) -> float:
    if not fps:
        raise VideoError(f"{video}: it does not tell its frame rate, so that times are not known")
    return fps
