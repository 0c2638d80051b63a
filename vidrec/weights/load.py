"""Loading weights: `load_weights(net, source)`.

Files of any source (`vidrec.weights.sources`) are converted to names and shapes of the network
(`vidrec.weights.convert`), and loaded entirely or not at all; a report lists what was loaded.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from vidrec.weights.convert import (
    BACKBONE,
    Conversion,
    Found,
    find_conversion,
    reshape,
    twins,
)
from vidrec.weights.mismatch import WORTHWHILE, no_match, partial_match
from vidrec.weights.report import Report, some
from vidrec.weights.sources import NotDownloaded, find_weights, read_weights


def load_weights(
    net: nn.Module,
    source: str | os.PathLike[str],
    *,
    min_backbone: float = 0.95,
    backbone_only: bool = False,
    averaged: bool = True,
    allow_non_finite: bool = False,
) -> Report:
    """Load the tensors that match by name and shape.

    Raises ValueError, leaving the network unchanged, if too few of them match or if any is not
    finite.

    min_backbone: fraction of the backbone's tensors that must match (of all, without a backbone).
    backbone_only: leave the head unchanged even if it matches.
    averaged: prefer the moving average of the weights if a checkpoint has both.
    allow_non_finite: load infinite values and NaN too.
    """
    try:
        states = find_weights(source, averaged=averaged)
    except NotDownloaded as error:
        raise NotDownloaded(f"{error}, or model.weights=null to train from scratch") from None
    return _load(net, str(source), states, min_backbone, backbone_only, averaged, allow_non_finite)


def _load(
    net: nn.Module,
    source: str,
    states: list[Found],
    min_backbone: float = 0.0,
    backbone_only: bool = False,
    averaged: bool = True,
    allow_non_finite: bool = False,
) -> Report:
    """`load_weights` of what a source holds."""
    own = {name: t for name, t in net.state_dict().items() if isinstance(t, Tensor)}
    in_backbone = {name: t for name, t in own.items() if name.startswith(BACKBONE)}
    if backbone_only and in_backbone:
        own = in_backbone
    constants = _constants(net)
    report, new = _match(source, states, own, constants, averaged)
    required = [name for name in in_backbone or own if _counts(name) and name not in constants]
    absent = [name for name in required if name not in new]
    report.backbone = 1 - len(absent) / max(1, len(required))
    if report.backbone < min_backbone:
        raise ValueError(partial_match(report, min_backbone, _shapes(own)))
    report.non_finite = [
        name
        for name, tensor in new.items()
        # As the network will have them: large values of float64 are infinite in float32.
        if name not in constants and not tensor.to(own[name].dtype).isfinite().all()
    ]
    if report.non_finite and not allow_non_finite:
        raise ValueError(
            f"{source} has weights that are not finite: {some(report.non_finite, 5)}; the run "
            "that wrote it diverged, or it is damaged; model.allow_non_finite=true loads it anyway"
        )
    net.load_state_dict(new, strict=False)
    return report


def load_all(
    net: nn.Module,
    source: str | os.PathLike[str],
    *,
    but: tuple[str, ...] = (),
    allow_non_finite: bool = False,
) -> Report:
    """Load every weight of the network. Raises ValueError if any would stay random.

    but: beginnings of the names that may: parts whose output is not used.
    """
    states = find_weights(source)
    loaded = _load(net, str(source), states, allow_non_finite=allow_non_finite)
    way_out = "choose the model, the data (number of classes) or the experiment it was trained with"
    if loaded.backbone < WORTHWHILE:
        raise ValueError(f"{no_match(loaded, _shapes(net.state_dict()))}: {way_out}")
    if any(not name.startswith(but) for name in loaded.missing):
        raise ValueError(
            f"{loaded}\n{source} does not fit this model: missing weights would stay random; "
            f"{way_out}"
        )
    return loaded


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(t.shape) for name, t in state.items() if isinstance(t, Tensor)}


def _constants(net: nn.Module) -> set[str]:
    """Buffers that follow from the architecture: indices, masks, fixed position embeddings."""
    parameters = {name for name, _ in net.named_parameters(remove_duplicate=False)}
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    return {n for n in net.state_dict() if n not in parameters and not n.endswith(statistics)}


def _match(
    source: str,
    states: list[Found],
    own: dict[str, Tensor],
    constants: set[str],
    averaged: bool = True,
) -> tuple[Report, dict[str, Tensor]]:
    """The report, and the tensors to load by their names in the network.

    states: those of the file; the one that fits best is used, the first one among equals.
    """
    wanted = _shapes(own)
    (place, state), conversion = _best(states, wanted, averaged)
    renamed = conversion(state, wanted)
    file_names = {id(tensor): name for name, tensor in state.items()}
    report = Report(source, conversion=str(conversion))
    report.in_file = _shapes(state)
    others = twins(conversion.strip, state)
    report.taken = "/".join(filter(None, (place, conversion.strip if others else "")))
    report.others = [*(other for other, _ in states if other != place), *others]
    new: dict[str, Tensor] = {}
    for name, tensor in reshape(renamed, wanted).items():
        if name not in own:
            if _counts(name):
                report.unused.append(file_names.get(id(tensor), name))
            continue
        if name in constants:
            tensor = renamed[name]  # a resized one would be worse than the network's own
        if not _fits(tensor, own[name]):
            both = f"{_describe(tensor)}, in the network {_describe(own[name])}"
            (report.kept if name in constants else report.differing).append(f"{name} {both}")
            continue
        new[name] = tensor
        if id(renamed[name]) not in file_names:
            report.computed.append(name)
        elif tensor is not renamed[name]:
            report.reshaped.append(f"{name} {_describe(renamed[name])} -> {_describe(tensor)}")
    report.loaded = [name for name in own if name in new and _counts(name)]
    absent = [name for name in own if name not in new and _counts(name)]
    report.missing = [name for name in absent if name not in constants]
    return report, new


def _best(
    states: list[Found], wanted: dict[str, tuple[int, ...]], averaged: bool
) -> tuple[Found, Conversion]:
    tried = set()  # averages mostly have the names and shapes of the weights themselves
    best, best_conversion = states[0], Conversion()
    for found in states:
        signature = frozenset((name, tuple(t.shape)) for name, t in found.tensors.items())
        if signature in tried:
            continue
        tried.add(signature)
        conversion = find_conversion(found.tensors, wanted, averaged)
        if conversion.score > best_conversion.score:
            best, best_conversion = found, conversion
    return best, best_conversion


def publish(checkpoint: str | os.PathLike[str], target: str, *, averaged: bool = True) -> Path:
    """Writes only the weights of a checkpoint, to `{target}-{8 digits of the SHA-256}.pth`."""
    state = {name: t.clone() for name, t in read_weights(checkpoint, averaged=averaged).items()}
    part = Path(f"{target}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": state}, part)
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return part.rename(f"{target}-{digest[:8]}.pth")


def _counts(name: str) -> bool:
    return not name.endswith("num_batches_tracked")  # not a weight


def _fits(tensor: Tensor, own: Tensor) -> bool:
    return tensor.shape == own.shape and tensor.is_floating_point() == own.is_floating_point()


def _describe(tensor: Tensor) -> str:
    kind = "" if tensor.is_floating_point() else f" {tensor.dtype}"
    return f"{tuple(tensor.shape)}{kind}"
