"""Features of a video by a recognition network: what its classifier is given."""

from pathlib import Path

import numpy as np
import torch

from vidrec.config.schema import ClipConf, Precision
from vidrec.data.collate import to_device
from vidrec.data.video.decoder import VideoError
from vidrec.inference.feature_windows import Chunks, choose_windows, features_of
from vidrec.inference.network import Network
from vidrec.inference.options import Options
from vidrec.inference.recognition import RecognitionPredictor
from vidrec.models.features import ClassifierInput


@torch.no_grad()
def features_of_video(network: Network, video: str) -> np.ndarray:
    """(C,) float32: the mean over the views of the network's test.

    Raises VideoError if the file cannot be read, ValueError for networks of optical flow.
    """
    _, batch = RecognitionPredictor(network, Options()).views(video)
    batch = to_device(batch, network.device)
    views = batch["frames"] if "frames" in batch else batch["video"]
    with ClassifierInput(network.net) as taken:
        network.net.predict(batch)
        return taken.take(views.shape[1]).mean(dim=0).cpu().numpy()


def features_of_windows(
    network: Network, video: str, window: int | None, stride: int | None, chunk: int = 8
) -> np.ndarray:
    """(T, C) float32: one feature for each window, as `vidrec extract crops=test`.

    window, stride: in frames, as of the command. chunk: windows of one forward pass. Raises
    VideoError if the file cannot be read.
    """
    steps = RecognitionPredictor(network, Options()).reading["steps"]
    windows = choose_windows(ClipConf(**network.description.clip), window, stride, chunk)
    parts = []
    with ClassifierInput(network.net) as taken:
        for one in Chunks([Path(video)], windows, steps):
            if "error" in one:
                raise VideoError(f"{video}: {one['error']}")
            parts.append(features_of(network.net, taken, one, Precision.fp32).cpu().numpy())
    return np.concatenate(parts)
