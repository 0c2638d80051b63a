"""torchvision's person detectors, whose boxes are the proposals of action detection."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vidrec.errors import did_you_mean
from vidrec.files.checkpoint_files import open_checkpoint


class PersonDetector:
    """A detector from torchvision with weights from a file.

    name: as torchvision lists it, e.g. fasterrcnn_resnet50_fpn.
    person: the class of persons.
    threshold: boxes with a lower score are left out.
    """

    def __init__(
        self,
        name: str,
        weights: str,
        num_classes: int = 91,
        person: int = 1,
        threshold: float = 0.05,
        device: str = "cpu",
    ) -> None:
        self.net = load_detector(name, weights, num_classes).to(device).eval()
        self.person = person
        self.threshold = threshold
        self.device = device
        # Identifies the boxes: everything that they depend on.
        with open(weights, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.made_of = f"{name} {digest} {num_classes} {person} {threshold}"

    @torch.inference_mode()
    def __call__(self, frames: np.ndarray) -> list[np.ndarray]:
        """Frames (F, H, W, 3) uint8 -> per frame (P, 5): boxes normalised to [0, 1], and scores."""
        height, width = frames.shape[1:3]
        images = torch.from_numpy(frames).to(self.device).permute(0, 3, 1, 2).float() / 255
        scale = torch.tensor([width, height, width, height], device=self.device)
        persons = []
        for found in self.net(list(images)):
            wanted = (found["labels"] == self.person) & (found["scores"] >= self.threshold)
            boxes = (found["boxes"][wanted] / scale).clamp(0, 1)
            rows: Tensor = torch.cat([boxes, found["scores"][wanted, None]], dim=1)
            rows = rows[(boxes[:, 2:] > boxes[:, :2]).all(dim=1)]
            persons.append(rows.cpu().numpy())
        return persons


def load_detector(name: str, weights: str, num_classes: int) -> nn.Module:
    """A detector from torchvision.

    Raises ValueError for an unknown name or weights that do not fit, FileNotFoundError if there is
    no file of weights.
    """
    from torchvision.models import detection, get_model, list_models

    known = list_models(detection)
    if name not in known:
        raise ValueError(f"torchvision has no detector '{name}'; {did_you_mean(name, known)}")
    if not Path(weights).is_file():
        raise FileNotFoundError(
            f"the weights {weights} do not exist; those of {name} are linked from "
            "https://pytorch.org/vision/stable/models.html"
        )
    net = get_model(name, weights=None, weights_backbone=None, num_classes=num_classes)
    content = open_checkpoint(weights)
    state = content.get("model", content) if isinstance(content, Mapping) else content
    if not isinstance(state, Mapping):
        raise ValueError(f"{weights} contains no named tensors; expected a state_dict")
    try:
        net.load_state_dict(state)
    except RuntimeError:
        reason = _misfit(net.state_dict(), state)
        raise ValueError(
            f"{weights} does not fit {name} with {num_classes} classes: {reason}"
        ) from None
    for tensor, values in net.state_dict().items():
        if not values.isfinite().all():
            raise ValueError(f"{weights} is damaged: {tensor} is not finite")
    return net


def _misfit(own: Mapping[str, Tensor], state: Mapping[str, object]) -> str:
    """In a line, why weights cannot be loaded: of another architecture, or of other classes."""
    common = [name for name in own if name in state]
    if 2 * len(common) < len(own):
        few = f"it has {len(common)} of the {len(own)} tensors"
        return f"{few}, so it is of another architecture: choose it with --detector"
    others = [name for name in common if getattr(state[name], "shape", None) != own[name].shape]
    if not others:
        missing = [name for name in own if name not in state] or [*state.keys() - own.keys()]
        return f"{len(missing)} tensors differ in name, such as {missing[0]}"
    shape = tuple(getattr(state[others[0]], "shape", ()))
    return (
        f"{len(others)} tensors have another shape, such as {others[0]}: {shape} instead of "
        f"{tuple(own[others[0]].shape)}; for other classes set --num-classes of `vidrec persons`"
    )
