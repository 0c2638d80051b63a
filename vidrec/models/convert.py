"""Names and shapes of published weights made those of our nets, by pure functions.

Every converter is a function `(state, wanted) -> state` of named tensors, where `wanted` gives the
shapes of the net's own tensors by name. A new format is one more function in `NAMES` or `SHAPES`;
which one a file needs is found by trying them all on shapes alone (`find_conversion`).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

State = Mapping[str, Tensor]
Shapes = Mapping[str, tuple[int, ...]]
Converter = Callable[[State, Shapes], State]

BACKBONE = "backbone."

# Where checkpoints keep their weights: ours, MMAction2 and most others, PySlowFast and
# pytorchvideo, VideoMAE, caffe2.
_CONTAINERS = (
    "net",
    "state_dict",
    "model_state",
    "model_state_dict",
    "model",
    "module",
    "encoder",
    "blobs",
)
_AVERAGED = ("ema", "state_dict_ema", "model_ema")

# Leading parts of names that wrappers add and that nets of ours may not have.
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "encoder.", BACKBONE)


def find_tensors(content: Any, averaged: bool = True) -> dict[str, Tensor]:
    """The named tensors of an opened checkpoint, whatever they are wrapped in; empty without any.

    averaged: take moving averages of the weights where the checkpoint has them.

    >>> sorted(find_tensors({"epoch": 3, "state_dict": {"fc.weight": torch.zeros(2)}}))
    ['fc.weight']
    """
    tensors = _find(content)
    if averaged and isinstance(content, Mapping):
        for key in _AVERAGED:
            mean = {name.removeprefix("module."): t for name, t in _find(content.get(key)).items()}
            if tensors.keys() & mean.keys():
                # An average may leave out buffers: those come from the weights themselves.
                return tensors | mean
    return tensors


def _find(content: Any, depth: int = 3) -> dict[str, Tensor]:
    if not isinstance(content, Mapping) or depth == 0:
        return {}
    for key in _CONTAINERS:
        if found := _find(content.get(key), depth - 1):
            return found
    tensors = {}
    for name, value in content.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            value = torch.from_numpy(value.astype(value.dtype.newbyteorder("=")))
        if isinstance(value, Tensor) and isinstance(name, str):
            tensors[name] = value.detach()
    inner = [_find(value, depth - 1) for key, value in content.items() if key not in _AVERAGED]
    return max([tensors, *inner], key=len)


def as_they_are(state: State, wanted: Shapes) -> State:
    """Our own names, MMAction2's and those of wrapped torchvision and timm networks."""
    return state


def resnet_modules(state: State, wanted: Shapes) -> State:
    """ResNets of torchvision, timm and MMPretrain: `conv1.weight`, `bn1.weight`, `downsample.0`."""
    return _substituted(
        state,
        (r"\bconv(\d)\.(weight|bias)$", r"conv\1.conv.\2"),
        (r"\bbn(\d)\.(\w+)$", r"conv\1.bn.\2"),
        (r"\bdownsample\.0\.(\w+)$", r"downsample.conv.\1"),
        (r"\bdownsample\.1\.(\w+)$", r"downsample.bn.\1"),
    )


def plain_resnet(state: State, wanted: Shapes) -> State:
    """The other way: our names and MMAction2's into a torchvision, timm or MMPretrain ResNet."""
    return _substituted(
        state,
        (r"\bconv(\d)\.conv\.(\w+)$", r"conv\1.\2"),
        (r"\bconv(\d)\.bn\.(\w+)$", r"bn\1.\2"),
        (r"\bdownsample\.conv\.(\w+)$", r"downsample.0.\1"),
        (r"\bdownsample\.bn\.(\w+)$", r"downsample.1.\1"),
    )


def dense_layers(state: State, wanted: Shapes) -> State:
    """DenseNet files of torchvision, from when modules' names could hold dots: `norm.1.weight`."""
    return _substituted(state, (r"\b(norm|conv)\.([12])\.(\w+)$", r"\1\2.\3"))


def swin_stages(state: State, wanted: Shapes) -> State:
    """Swin before timm 0.9: a stage ended with the downsampling that now begins the next one."""
    stage = re.compile(r"\blayers\.(\d+)(?=\.downsample\.)")
    return _renamed(state, lambda name: stage.sub(lambda m: f"layers.{int(m[1]) + 1}", name))


def first_convolution(state: State, wanted: Shapes) -> State:
    """Convolutions of RGB into as many channels as are wanted: the mean over RGB, repeated.

    For stacked flow: the cross-modality initialisation of TSN (Wang et al., ECCV 2016, section
    3.2).
    """
    state = dict(state)
    for name, given in _pairs(state, wanted):
        shape = wanted[name]
        is_rgb = given.ndim >= 4 and len(shape) >= 4 and given.shape[1] == 3 != shape[1]
        if is_rgb and given.shape[0] == shape[0] and given.shape[-2:] == shape[-2:]:
            repeats = [1, shape[1], *[1] * (given.ndim - 2)]
            state[name] = given.mean(dim=1, keepdim=True).repeat(repeats)
    return state


def inflate(state: State, wanted: Shapes) -> State:
    """2D convolutions (O, I, h, w) into 3D ones (O, I, T, h, w): repeated over T and divided by T.

    A clip of one repeated frame then gives what the frame gave (Carreira and Zisserman, CVPR 2017,
    section 2.4.1).
    """
    state = dict(state)
    for name, given in _pairs(state, wanted):
        shape = wanted[name]
        if given.ndim == 4 and len(shape) == 5 and given.shape == (*shape[:2], *shape[3:]):
            state[name] = given.unsqueeze(2).repeat(1, 1, shape[2], 1, 1) / shape[2]
    return state


NAMES: tuple[Converter, ...] = (
    as_they_are,
    resnet_modules,
    plain_resnet,
    dense_layers,
    swin_stages,
)
SHAPES: tuple[Converter, ...] = (first_convolution, inflate)  # in this order, each on its own names


@dataclass(frozen=True)
class Conversion:
    """One way to read a file's names: a prefix taken off, a converter, a prefix put on."""

    strip: str = ""
    names: Converter = as_they_are
    add: str = ""

    def __call__(self, state: State, wanted: Shapes) -> State:
        state = _renamed(state, lambda name: name.removeprefix(self.strip))
        state = self.names(state, wanted)
        return _renamed(state, lambda name: self.add + name.removeprefix(self.add))

    def __str__(self) -> str:
        parts = [f"-{self.strip}"] if self.strip else []
        parts += [self.names.__name__] if self.names is not as_they_are else []
        parts += [f"+{self.add}"] if self.add else []
        return " ".join(parts)


def reshape(state: State, wanted: Shapes) -> State:
    """`state` with the tensors of wanted names that come in another layout brought to the net's."""
    for converter in SHAPES:
        state = converter(state, wanted)
    return state


def find_conversion(state: State, wanted: Shapes) -> Conversion:
    """The conversion after which most of `wanted` is there by name and shape.

    One costs nothing to try: it runs on tensors without data.
    """
    shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in state.items()}
    best, most = Conversion(), -1
    for conversion in _conversions(state, wanted):
        converted = reshape(conversion(shapes, wanted), wanted)
        matches = sum(tuple(given.shape) == wanted[n] for n, given in _pairs(converted, wanted))
        if matches > most:
            best, most = conversion, matches
        if most == len(wanted):
            break
    return best


def _conversions(state: State, wanted: Shapes) -> Iterator[Conversion]:
    adds = ["", BACKBONE] if any(name.startswith(BACKBONE) for name in wanted) else [""]
    for strip in _prefixes(state):
        for names in NAMES:
            for add in adds:
                yield Conversion(strip, names, add)


def _prefixes(names: Iterable[str]) -> list[str]:
    found = [""]
    for prefix in found:
        for more in _PREFIXES:
            if any(name.startswith(prefix + more) for name in names):
                found.append(prefix + more)  # the loop goes on to what follows it
    return found


def _pairs(state: State, wanted: Shapes) -> list[tuple[str, Tensor]]:
    return [(name, tensor) for name, tensor in state.items() if name in wanted]


def _substituted(state: State, *rules: tuple[str, str]) -> State:
    """Each name after the first rule, a regular expression and what replaces it, that applies."""

    def rename(name: str) -> str:
        for pattern, replacement in rules:
            name, hits = re.subn(pattern, replacement, name)
            if hits:
                break
        return name

    return _renamed(state, rename)


def _renamed(state: State, rename: Callable[[str], str]) -> State:
    renamed = {rename(name): tensor for name, tensor in state.items()}
    # Two tensors of one name: this is not the way to read the file.
    return renamed if len(renamed) == len(state) else {}
