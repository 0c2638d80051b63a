"""Why a network gives a video its class: the clip that speaks most for it, and where in it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vidrec.data.collate import to_device
from vidrec.errors import did_you_mean
from vidrec.inference.grad_cam import grad_cam
from vidrec.inference.network import Network
from vidrec.inference.options import Options
from vidrec.inference.recognition import RecognitionPredictor, mean_of_views
from vidrec.models.recognizer import average_views, cut_clips


@dataclass(frozen=True)
class Explanation:
    """What speaks for a class in one clip of a video.

    name, score: of the class, for the whole video. frames: (T, H, W, 3) uint8, the clip as the
    network sees it. heat: (T, H, W) float32 in [0, 1], how much each pixel speaks for the class.
    layer: whose map it is. view, num_views: which of the test's views the clip is, counted from 1.
    """

    name: str
    score: float
    frames: np.ndarray
    heat: np.ndarray
    layer: str
    view: int
    num_views: int

    @property
    def mass(self) -> np.ndarray:
        """(T,) the share of each frame in the heat of the clip; 0 everywhere if there is none."""
        sums = self.heat.sum(axis=(1, 2), dtype=np.float64)
        return sums / max(sums.sum(), 1e-30)


class Explainer:
    """Explains the classes of a recognition network; made once, called for each video.

    Raises ValueError for a network of another task, or of optical flow.
    """

    def __init__(self, network: Network, names: str | None = None) -> None:
        task = network.description.task
        if task != "recognition":
            raise ValueError(
                f"{network.source} is for {task}: maps are explained of recognition networks, "
                "which give a score to the whole clip"
            )
        self.network = network
        self.predictor = RecognitionPredictor(network, Options(names=names))

    def __call__(
        self, video: str, label: str | None = None, layer: str | None = None
    ) -> Explanation:
        """Explain a class, by default the best one, in the view that has its highest logit.

        label: a name of a class, or its number. layer: see `grad_cam`. Raises VideoError if the
        video cannot be read, ValueError if there is no such class or layer.
        """
        names = self.predictor.names
        chosen = None if label is None else class_of(label, names)
        _, batch = self.predictor.views(video)
        batch = to_device(batch, self.network.device)
        net = self.network.net
        num_views = (batch["frames"] if "frames" in batch else batch["video"]).shape[1]

        def clip_of(view: int) -> Tensor:
            return cut_clips(batch, slice(0, 1), view, view + 1)

        with torch.no_grad():
            logits = torch.cat(
                [
                    net.outputs(net.normalise(clip_of(v)))["logits"].float()
                    for v in range(num_views)
                ],
                dim=1,
            )
        joint = getattr(net.cls_head, "joint_views", False)
        scores = mean_of_views(average_views(logits, net.average_clips, joint))[0]
        best = int(scores.argmax()) if chosen is None else chosen
        view = int(logits[0, :, best].argmax())
        clip = clip_of(view)[0, 0]
        found = grad_cam(net, clip, best, layer)
        heat = found.over_frames(*clip.shape[:3])
        frames = clip.cpu().numpy()
        return Explanation(
            names[best], float(scores[best]), frames, heat, found.layer, view + 1, num_views
        )


def class_of(label: str, names: list[str]) -> int:
    """The number of a class by its name, or by its number where no class has that name.

    >>> class_of("run", ["jump", "run"]), class_of("0", ["jump", "run"])
    (1, 0)
    """
    if label in names:
        return names.index(label)
    if label.isdecimal() and int(label) < len(names):
        return int(label)
    raise ValueError(f"label={label} is no class of the network; {did_you_mean(label, names)}")
