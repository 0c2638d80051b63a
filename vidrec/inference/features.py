"""Features of a video by a recognition network: what its classifier is given."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidrec import build
from vidrec.config.schema import ClipConf, Precision
from vidrec.data.clips.dataset import VideoDataset
from vidrec.data.clips.records import Records
from vidrec.data.collate import to_device
from vidrec.data.video.decoder import VideoError
from vidrec.inference.feature_windows import Chunks, choose_windows, features_of
from vidrec.inference.network import Network
from vidrec.models.features import ClassifierInput


@torch.no_grad()
def features_of_video(network: Network, video: str) -> np.ndarray:
    """(C,) float32: the mean over the views of the network's test.

    Raises VideoError if the file cannot be read.
    """
    reading = build.build_reading(network.description)
    dataset = VideoDataset(Records.pack([video], [0]), **reading)
    batch: Any = to_device(dataset.collate([dataset[0]]), network.device)  # of clips or of views
    views = batch["frames" if "frames" in batch else "video"].shape[1]
    with ClassifierInput(network.net) as taken:
        network.net.predict(batch)
        return taken.take(views).mean(dim=0).cpu().numpy()


def features_of_windows(
    network: Network, video: str, window: int | None, stride: int | None, chunk: int = 8
) -> np.ndarray:
    """(T, C) float32: one feature for each window, as `vidrec extract crops=test`.

    window, stride: in frames, as of the command. chunk: windows of one forward pass. Raises
    VideoError if the file cannot be read.
    """
    description = network.description
    windows = choose_windows(ClipConf(**description.clip), window, stride, chunk)
    steps = build.build_reading(description)["steps"]
    parts = []
    with ClassifierInput(network.net) as taken:
        for one in Chunks([Path(video)], windows, steps):
            if "error" in one:
                raise VideoError(f"{video}: {one['error']}")
            parts.append(features_of(network.net, taken, one, Precision.fp32).cpu().numpy())
    return np.concatenate(parts)
