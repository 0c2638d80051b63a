"""A trained network as people use it: on files, on frames, and for features."""

from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vidrec import build
from vidrec.data.transforms.pipeline import Pipeline
from vidrec.errors import did_you_mean
from vidrec.inference import frames as inputs
from vidrec.inference import predictors
from vidrec.inference.features import features_of_video, features_of_windows
from vidrec.inference.network import Network
from vidrec.inference.options import Options
from vidrec.inference.prediction import Prediction
from vidrec.weights.description import ModelDescription


class TrainedModel(nn.Module):
    """A network in evaluation mode with the description of its checkpoint.

    net: the plain network, which takes batches. description: how it is to be used. source: the file
    it was loaded from. The names of `state_dict()` begin with `net.`; those of
    `net.state_dict()` are the ones of checkpoints.
    """

    net: Any  # of the task

    def __init__(self, net: nn.Module, description: ModelDescription, source: str) -> None:
        super().__init__()
        self.net = net
        self.description = description
        self.source = source
        self._last: tuple[Options, torch.device, predictors.Predictor] | None = None
        self.eval()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_last": None}  # made again where it is needed

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.net.parameters()).device

    @property
    def class_names(self) -> list[str]:
        """The name of each class, in the order of the logits."""
        return self.description.class_names

    def predict(self, video: str | Path, **options: Any) -> Prediction:
        """What the network says about a video file.

        options: fields of `vidrec.inference.options.Options`. Raises VideoError if the file cannot
        be read, ValueError in training mode and for unknown options.
        """
        self._check_mode("predict")
        _check_path(video, "net(frames) takes frames, and net.net.predict(batch) batches")
        known = [field.name for field in fields(Options)]
        if unknown := [name for name in options if name not in known]:
            raise ValueError(
                f"predict takes no option '{unknown[0]}'; {did_you_mean(unknown[0], known)}"
            )
        return self._predictor(Options(**options))(str(video))

    def features(
        self, video: str | Path, *, window: int | None = None, stride: int | None = None
    ) -> np.ndarray:
        """What the classifier of a recognition network is given for a video file, float32.

        (C,), the mean over the views of its test; with `window` or `stride`, in frames, (T, C): one
        feature for each window, as `vidrec extract crops=test` writes them. Raises VideoError if
        the file cannot be read, ValueError for other networks and in training mode.
        """
        self._check_mode("features")
        self._check_recognition("features are taken from")
        _check_path(video, "net(frames) gives the logits of frames")
        for name, frames in (("window", window), ("stride", stride)):
            if frames is not None and frames < 1:
                raise ValueError(f"{name}={frames} is less than one frame")
        network = Network(self.net, self.description, self.source)
        if window is None and stride is None:
            return features_of_video(network, str(video))
        return features_of_windows(network, str(video), window, stride)

    def forward(self, frames: inputs.Frames, layout: str = "THWC", prepare: bool = True) -> Tensor:
        """The logits (N, K) of one clip, N = 1, or of a batch of N.

        frames: RGB, uint8 from 0 to 255 or float from 0 to 1, of any size; an array, a tensor or a
            list of frames.
        layout: THWC, TCHW or CTHW, with or without N in front.
        prepare: scale and cut the frames to the central crop of the network's test, and take as
            many as it sees at once, evenly. If false, they go in as they are.

        Gradients flow as in any module. A batch of a dataset goes to `self.net`.
        """
        self._check_recognition("frames give logits of")
        if isinstance(frames, dict | str | Path):
            other = "a batch to its .net" if isinstance(frames, dict) else "a file to its .predict"
            raise ValueError(f"this takes frames: pass {other}")
        shape = inputs.clip_shape(self.description)
        clips = inputs.as_clips(frames, layout, shape.channels)
        if prepare:
            clips = inputs.prepare_clips(clips, self._transforms, shape)
        inputs.check_number(clips.shape[1], shape)
        clips = self.net.normalise(clips.to(self.device)[:, None])
        return self.net.outputs(clips)["logits"][:, 0]

    @cached_property
    def _transforms(self) -> Pipeline:
        steps = self.description.preprocessing.get("steps")
        if not steps or inputs.clip_shape(self.description).channels != 3:
            raise ValueError(
                "this network's test does not scale and crop RGB frames: pass frames that are "
                "prepared with prepare=False"
            )
        return Pipeline(build.build_reading(self.description)["steps"])

    def _predictor(self, options: Options) -> predictors.Predictor:
        """The predictor of these options; the last one is kept, as it may hold networks."""
        last = self._last
        if last is None or last[:2] != (options, self.device):
            network = Network(self.net, self.description, self.source)
            last = options, self.device, predictors.predictor_of(network, options)
            self._last = last
        return last[2]

    def _check_mode(self, what: str) -> None:
        if self.net.training:
            raise ValueError(f"the network is in training mode: call net.eval() before net.{what}")

    def _check_recognition(self, what: str) -> None:
        task = self.description.task
        if task != "recognition":
            raise ValueError(
                f"{what} networks for recognition, this one is for {task}: use predict(VIDEO), or "
                "pass a batch to its .net"
            )


def _check_path(video: object, otherwise: str) -> None:
    if not isinstance(video, str | Path):
        raise ValueError(f"a path is expected, not a {type(video).__name__}: {otherwise}")
