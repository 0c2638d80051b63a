"""Where and when a network sees a class: Grad-CAM (Selvaraju et al., ICCV 2017) over a clip."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn

from vidrec.errors import did_you_mean
from vidrec.models.backbones.timesformer import TimeSformer
from vidrec.models.feature_map import MapReader
from vidrec.models.recognizer import Recognizer

# Of such layers no output is chosen: in a block they are a part of one branch.
_PARTS = (nn.Linear, nn.Dropout, nn.Identity, DropPath)


@dataclass(frozen=True)
class Heat:
    """How much each place of a clip speaks for a class.

    map: (t, h, w) float32, not negative, of the size that the layer has. layer: its name.
    """

    map: np.ndarray
    layer: str

    def over_frames(self, frames: int, height: int, width: int) -> np.ndarray:
        """(frames, height, width) in [0, 1], interpolated; 0 if nothing speaks for the class."""
        size = frames, height, width
        places = torch.from_numpy(self.map)[None, None]
        heat = F.interpolate(places, size, mode="trilinear")[0, 0].numpy()
        return heat / max(float(heat.max()), 1e-30)


@dataclass(frozen=True)
class _Layer:
    name: str
    tensors: tuple[Tensor, ...]
    maps: tuple[Tensor, ...]  # (M, C, t, h, w) each
    is_part: bool


def grad_cam(net: Recognizer, clip: Tensor, label: int, layer: str | None = None) -> Heat:
    """The Grad-CAM of a class in one clip (T, H, W, C), uint8 or on the same scale.

    layer: name of a module of the network; by default the last one in the backbone that returns a
    map which the logit depends on. Where a backbone returns several maps, as SlowFast does, their
    contributions to the logit are added.

    Raises ValueError if there is no such layer, or if `layer` gives no map or comes too late.
    """
    time, height, width = clip.shape[:3]
    time_last = (
        isinstance(net.backbone, TimeSformer) and net.backbone.attention_type != "space_only"
    )
    reader = MapReader((time, height, width), time_last)
    with torch.enable_grad(), _recorded(net, reader) as layers:
        frames = net.normalise(clip[None, None]).detach().requires_grad_()
        logit = net.outputs(frames)["logits"][0, 0, label]
        candidates = layers[::-1]
        if layer is None:
            candidates = [found for found in candidates if not found.is_part]
        else:
            candidates = [_named(net, candidates, layer)]
        for found in candidates:
            gradients = torch.autograd.grad(
                logit, found.tensors, retain_graph=True, allow_unused=True
            )
            if (raw := _weighted(found, gradients, reader)) is not None:
                return Heat(raw.relu().cpu().numpy(), _shortest(layers, found))
    if layer is not None:
        raise ValueError(f"layer={layer}: the score of the class does not depend on its map")
    raise ValueError(
        f"{type(net.backbone).__name__} has no layer with a map over rows and columns that the "
        "score depends on: there is nothing to show"
    )


def _weighted(
    found: _Layer, gradients: tuple[Tensor | None, ...], reader: MapReader
) -> Tensor | None:
    """Equations 1 and 2 before the ReLU: (t, h, w); None if no gradient arrives."""
    parts = []
    for values, gradient in zip(found.maps, gradients, strict=True):
        slopes = None if gradient is None else reader.read(gradient)
        if slopes is None or not slopes.any():
            continue
        weights = slopes.mean(dim=(2, 3, 4), keepdim=True)  # alpha of each channel
        parts.append((weights * values).sum(dim=1).flatten(0, 1).detach().float())
    if not parts:
        return None
    size = tuple(max(lengths) for lengths in zip(*(part.shape for part in parts), strict=True))
    # Of maps with more places each one contributes less: so that they add up to the logit.
    places = [part.numel() / parts[0].numel() for part in parts]
    resized = [F.interpolate(part[None, None], size, mode="trilinear")[0, 0] for part in parts]
    return torch.stack([n * part for n, part in zip(places, resized, strict=True)]).sum(dim=0)


@contextmanager
def _recorded(net: Recognizer, reader: MapReader) -> Iterator[list[_Layer]]:
    """The layers with maps, in the order in which they are computed within the block."""
    layers: list[_Layer] = []

    def record(name: str, module: nn.Module, _: object, output: object) -> None:
        reader.see(output)
        outputs = output if isinstance(output, tuple | list) else (output,)
        tensors = [part for part in outputs if isinstance(part, Tensor) and part.requires_grad]
        pairs = [(part, view) for part in tensors if (view := reader.read(part)) is not None]
        if pairs:
            own, maps = zip(*pairs, strict=True)
            layers.append(_Layer(name, own, maps, isinstance(module, _PARTS)))

    handles = [
        module.register_forward_hook(partial(record, name))
        for name, module in net.named_modules()
        if name.split(".")[0] == "backbone"
    ]
    try:
        yield layers
    finally:
        for handle in handles:
            handle.remove()


def _named(net: Recognizer, layers: list[_Layer], name: str) -> _Layer:
    """The layer of a name, or the last one within it; `backbone.` in front may be left out.

    layers: the last one first.
    """
    names = (name, f"backbone.{name}")
    exact = [found for found in layers if found.name in names]
    within = [found for found in layers if found.name.startswith(tuple(f"{n}." for n in names))]
    if exact or within:
        return (exact or within)[0]
    if any(module in names for module, _ in net.named_modules()):
        raise ValueError(f"layer={name} gives no map over rows and columns: choose another one")
    paths = [each.name.removeprefix("backbone.").split(".") for each in reversed(layers)]
    known = dict.fromkeys(".".join(path[:depth]) for path in paths for depth in (1, 2))
    raise ValueError(f"layer={name} is no layer of the network; {did_you_mean(name, known)}")


def _shortest(layers: list[_Layer], found: _Layer) -> str:
    """The best name of what several nested layers return."""

    def ids(layer: _Layer) -> list[int]:
        return [id(part) for part in layer.tensors]

    same = [each.name for each in layers if ids(each) == ids(found)]
    return min(same, key=lambda name: (name == "backbone", name.count("."), name))
