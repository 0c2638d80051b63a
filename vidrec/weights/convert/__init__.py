"""Conversion of published weights to the names and shapes of our networks, by pure functions.

Every converter is a function `(state, wanted) -> state` of named tensors; `wanted` has the shapes
of the network's own tensors by name. A new format is one more function in `NAMES` or `SHAPES`. The
right one for a file is found by trying them all on shapes alone (`find_conversion`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch

from vidrec.weights.convert.containers import Found, find_states, find_tensors
from vidrec.weights.convert.huggingface import (
    huggingface,
    huggingface_timesformer,
    huggingface_videomae,
    huggingface_vit,
    huggingface_vit_divided,
)
from vidrec.weights.convert.images import (
    dense_layers,
    divided,
    mobilenet_v2,
    plain_resnet,
    resnet_modules,
    swin,
    swin_stages,
    timm_mobilenet_v2,
    timm_swin,
    vit,
    vit_divided,
)
from vidrec.weights.convert.names import Converter, Shapes, State, pairs, renamed
from vidrec.weights.convert.prefixes import prefixes, twins
from vidrec.weights.convert.pyslowfast import caffe2, pyslowfast, pytorchvideo
from vidrec.weights.convert.shapes import SHAPES
from vidrec.weights.convert.video import (
    clip,
    mobileone_folded,
    timesformer,
    torchvision_mvit,
    torchvision_swin,
    uniformer,
    video_resnet,
    videomae,
)

__all__ = [
    "BACKBONE",
    "NAMES",
    "SHAPES",
    "Conversion",
    "Found",
    "find_conversion",
    "find_states",
    "find_tensors",
    "reshape",
    "twins",
]

BACKBONE = "backbone."

# Names of modules that wrap a layer, which files of plain networks lack: temporal shift and
# interlacing, blocks followed by another module, channel-separated convolutions; torch.compile,
# FSDP and checkpointing of single modules.
_WRAPPERS = re.compile(
    r"\.(net2?|block|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)(?=\.)"
    r"|(?<=\bconv2)\.0(?=\.(conv|bn)\.)"
)


def as_they_are(state: State, wanted: Shapes) -> State:
    """Our own names, MMAction2's, and those of torchvision's and timm's networks as backbones."""
    return state


NAMES: tuple[Converter, ...] = (
    as_they_are,
    resnet_modules,
    plain_resnet,
    mobilenet_v2,
    timm_mobilenet_v2,
    dense_layers,
    swin_stages,
    swin,
    timm_swin,
    vit,
    vit_divided,
    divided,
    torchvision_swin,
    torchvision_mvit,
    video_resnet,
    videomae,
    timesformer,
    uniformer,
    clip,
    pyslowfast,
    caffe2,
    pytorchvideo,
    mobileone_folded,
    huggingface,
    huggingface_vit,
    huggingface_vit_divided,
    huggingface_videomae,
    huggingface_timesformer,
)


@dataclass(frozen=True)
class Conversion:
    """One way to convert names: remove a prefix, apply a converter, add a prefix."""

    strip: str = ""
    names: Converter = as_they_are
    add: str = ""
    score: tuple[int, int] = field(default=(-1, -1), compare=False)  # see `find_conversion`

    def __call__(self, state: State, wanted: Shapes) -> State:
        state = self.stripped(state)
        inside = {name.removeprefix(self.add): shape for name, shape in wanted.items()}
        state = into_wrappers(self.names(state, inside), inside)
        return renamed(state, self._added)

    def stripped(self, state: State) -> State:
        return renamed(state, lambda name: name.removeprefix(self.strip))

    def _added(self, name: str) -> str:
        is_head = re.match(r"(cls_head|roi_head|neck)\.", name)
        return name if is_head else self.add + name.removeprefix(self.add)

    def __str__(self) -> str:
        parts = [f"-{self.strip}"] if self.strip else []
        parts += [self.names.__name__] if self.names is not as_they_are else []
        parts += [f"+{self.add}"] if self.add else []
        return " ".join(parts)


def into_wrappers(state: State, wanted: Shapes) -> State:
    """Adds or removes the names of modules that wrap a layer: `conv1.conv.net.weight`."""
    plain: dict[str, list[str]] = {}
    for name in wanted:
        if name not in state:
            plain.setdefault(_WRAPPERS.sub("", name), []).append(name)

    def rename(name: str) -> str:
        if name in wanted:
            return name
        places = plain.get(_WRAPPERS.sub("", name), [])
        return places[0] if len(places) == 1 else name

    return renamed(state, rename)


def reshape(state: State, wanted: Shapes) -> State:
    """`state`, in which tensors of wanted names have the shapes of the network where possible."""
    for converter in SHAPES:
        state = converter(state, wanted)
    return state


def find_conversion(state: State, wanted: Shapes, averaged: bool = True) -> Conversion:
    """The conversion that yields most of `wanted` by name and shape.

    Its score is that number, and how many tensors of the file it uses, rather than copies or
    constants, which decides among equals. If a file has several networks that fit equally well,
    each under a prefix, it is that of the averaged weights, or with averaged=False the others'.
    Trying one is cheap: it runs on tensors without data.
    """
    shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in state.items()}
    best = Conversion()
    for conversion in _conversions(shapes, wanted, averaged):
        converted = conversion(shapes, wanted)
        fitting = pairs(reshape(converted, wanted), wanted)
        matches = [name for name, given in fitting if tuple(given.shape) == wanted[name]]
        score = len(matches), len({id(converted[name]) for name in matches})
        if score > best.score:
            best = replace(conversion, score=score)
        if best.score == (len(wanted), len(wanted)):
            break
    return best


def _conversions(state: State, wanted: Shapes, averaged: bool) -> Iterator[Conversion]:
    adds = ["", BACKBONE] if any(name.startswith(BACKBONE) for name in wanted) else [""]
    inside = {name.removeprefix(BACKBONE): shape for name, shape in wanted.items()}
    for strip in prefixes(state, inside, averaged):
        stripped = Conversion(strip).stripped(state)
        for names in NAMES:
            found = names(stripped, inside)
            # Converters that change no name of this file need not be tried.
            if names is as_they_are or (found and found.keys() != stripped.keys()):
                yield from (Conversion(strip, names, add) for add in adds)
