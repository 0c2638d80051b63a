"""Finding, opening and loading weights: `load_weights(net, source)`.

A source is a path, a URL, `zoo://STEM`, `torchvision://NAME` or `timm://NAME`. Files are opened
without executing anything in them (`vidrec.files.checkpoint_files`), converted to names and shapes
of the network (`vidrec.weights.convert`), and loaded entirely or not at all; a report lists what
was loaded.
"""

import hashlib
import http.client
import os
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import torch
from torch import Tensor, nn
from tqdm import tqdm

from vidrec.errors import did_you_mean
from vidrec.files.atomic_write import atomic_write
from vidrec.files.checkpoint_files import digest_in, not_a_checkpoint, open_checkpoint
from vidrec.weights import zoo
from vidrec.weights.convert import BACKBONE, find_conversion, find_tensors, reshape

_FROM_SCRATCH = "set model.weights to a path, or model.weights=null to train from scratch"


@dataclass
class Report:
    """Which tensors of a file were loaded, and into which of the network."""

    source: str
    conversion: str = ""  # how names were converted; empty if they are those of the network
    loaded: list[str] = field(default_factory=list)  # names in the network, reshaped ones included
    reshaped: list[str] = field(default_factory=list)  # with both shapes
    computed: list[str] = field(default_factory=list)  # from several tensors of the file, or zeros
    missing: list[str] = field(default_factory=list)  # names in the network, left unchanged
    differing: list[str] = field(default_factory=list)  # not loaded: same name, different shape
    kept: list[str] = field(default_factory=list)  # such constants, which the network computes
    unused: list[str] = field(default_factory=list)  # names in the file that the network lacks
    non_finite: list[str] = field(default_factory=list)  # loaded, with infinite values or NaN
    backbone: float = 0.0  # fraction of the backbone's tensors that were loaded

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.missing)
        how = f" ({self.conversion})" if self.conversion else ""
        lines = [
            f"{self.source}{how}: {len(self.loaded)} of {total} tensors loaded, "
            f"{100 * self.backbone:.1f} % of the backbone"
        ]
        kinds = ("reshaped", "computed", "missing", "differing", "kept", "unused", "non_finite")
        for kind in kinds:
            if names := getattr(self, kind):
                lines.append(f"  {kind.replace('_', '-')} {len(names)}: {_some(names)}")
        return "\n".join(lines)


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
    state = read_weights(source, averaged=averaged)
    own = {name: t for name, t in net.state_dict().items() if isinstance(t, Tensor)}
    in_backbone = {name: t for name, t in own.items() if name.startswith(BACKBONE)}
    if backbone_only and in_backbone:
        own = in_backbone
    constants = _constants(net)
    report, new = _match(str(source), state, own, constants)
    required = [name for name in in_backbone or own if _counts(name) and name not in constants]
    absent = [name for name in required if name not in new]
    report.backbone = 1 - len(absent) / max(1, len(required))
    if report.backbone < min_backbone:
        differing = f"; differing {_some(report.differing, 3)}" if report.differing else ""
        raise ValueError(
            f"{source} matches {100 * report.backbone:.1f} % of the network's backbone, less than "
            f"model.min_backbone={min_backbone}: missing {_some(absent, 5)}{differing}; the file "
            f"has {_some(list(state), 5)}; model.min_backbone=0 loads whatever matches"
        )
    report.non_finite = [
        name
        for name, tensor in new.items()
        # As the network will have them: large values of float64 are infinite in float32.
        if name not in constants and not tensor.to(own[name].dtype).isfinite().all()
    ]
    if report.non_finite and not allow_non_finite:
        raise ValueError(
            f"{source} has weights that are not finite: {_some(report.non_finite, 5)}; the run "
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
    loaded = load_weights(net, source, min_backbone=0, allow_non_finite=allow_non_finite)
    if any(not name.startswith(but) for name in loaded.missing):
        raise ValueError(
            f"{loaded}\n{source} does not fit this model: missing weights would stay random; "
            "choose the model, the data (number of classes) or the experiment it was trained with"
        )
    return loaded


def _constants(net: nn.Module) -> set[str]:
    """Buffers that follow from the architecture: indices, masks, fixed position embeddings."""
    parameters = {name for name, _ in net.named_parameters(remove_duplicate=False)}
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    return {n for n in net.state_dict() if n not in parameters and not n.endswith(statistics)}


def _match(
    source: str, state: dict[str, Tensor], own: dict[str, Tensor], constants: set[str]
) -> tuple[Report, dict[str, Tensor]]:
    """The report, and the tensors to load by their names in the network."""
    wanted = {name: tuple(tensor.shape) for name, tensor in own.items()}
    conversion = find_conversion(state, wanted)
    renamed = conversion(state, wanted)
    file_names = {id(tensor): name for name, tensor in state.items()}
    report = Report(source, str(conversion))
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


def read_weights(source: str | os.PathLike[str], *, averaged: bool = True) -> dict[str, Tensor]:
    """The tensors of a source by their names in the file, on the CPU."""
    source = str(source)
    scheme, separator, rest = source.partition("://")
    if separator and scheme == "timm":
        return _timm(rest)
    if separator and scheme == "torchvision":
        path = download(_torchvision_url(rest))
    elif separator and scheme == "zoo":
        path = download(zoo.weights_url(rest))
    elif separator and scheme in ("http", "https"):
        path = download(source)
    elif separator and scheme == "file":
        path = Path(urllib.request.url2pathname(urllib.parse.urlsplit(source).path))
    elif separator:
        raise ValueError(
            f"model.weights={source}: unknown scheme '{scheme}://'; use a path, http://, https://, "
            "file://, zoo://, torchvision:// or timm://"
        )
    else:
        path = Path(source).expanduser()
    state = find_tensors(open_checkpoint(path), averaged)
    if not state:
        raise ValueError(f"{path} contains no named tensors; expected a state_dict or a checkpoint")
    return state


def download(url: str) -> Path:
    """The file of a URL in torch.hub's cache, downloaded unless it is there already.

    It appears there entirely or not at all. If its name ends in the first digits of a SHA-256, as
    that of published ones does, they are compared with the file's, here and whenever it is opened.
    """
    name = Path(urllib.parse.urlsplit(url).path).name
    digest = digest_in(name)
    if digest is None:
        # Different servers have files called model.pth.
        name = f"{hashlib.sha256(url.encode()).hexdigest()[:8]}_{name or 'weights'}"
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if path.is_file():
        return path
    with atomic_write(path) as file:  # several ranks may download it at once
        found = _fetch(url, file, name)
        if digest and not found.startswith(digest):
            raise ValueError(
                f"the file at {url} has a SHA-256 that begins with {found[:8]}, not with the "
                f"{digest} in its name: try again, or {_FROM_SCRATCH}"
            )
    return path


def _fetch(url: str, file: IO[bytes], name: str) -> str:
    """Downloads `url` into `file`; returns the SHA-256 in hex."""
    sha = hashlib.sha256()
    done = 0
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "vidrec"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            size = int(answer.headers.get("Content-Length") or 0)
            bar = tqdm(total=size or None, unit="B", unit_scale=True, desc=name, disable=None)
            with bar:
                while chunk := answer.read(1 << 20):
                    if not done and (reason := not_a_checkpoint(chunk[:512])):
                        raise ValueError(f"the file at {url} {reason}; {_FROM_SCRATCH}")
                    file.write(chunk)
                    sha.update(chunk)
                    done += len(chunk)
                    bar.update(len(chunk))
        if done < max(size, 1):
            raise ConnectionError(f"the connection ended after {done} of {size} bytes")
    except (OSError, http.client.HTTPException) as error:  # OSError: urllib's too, and a full disk
        why = str(error).removeprefix("<urlopen error ").removesuffix(">")
        raise ValueError(f"cannot download {url} ({why}); {_FROM_SCRATCH}") from error
    return sha.hexdigest()


def _torchvision_url(name: str) -> str:
    """The URL of `NAME` or `NAME.WEIGHTS`; without WEIGHTS the first published, IMAGENET1K_V1.

    >>> _torchvision_url("resnet50").rsplit("/", 1)[1]
    'resnet50-0676ba61.pth'
    """
    from torchvision.models import get_model_weights, list_models

    name, _, tag = name.partition(".")
    if name not in (known := list_models()):
        raise ValueError(f"torchvision has no model '{name}'; {did_you_mean(name, known)}")
    published = {weights.name: weights for weights in get_model_weights(name)}
    tag = tag.upper() or next(iter(published), "")
    if tag not in published:
        have = _some(list(published)) or "none"
        raise ValueError(f"torchvision://{name} has no weights '{tag}', choose one of {have}")
    return published[tag].url


def _timm(name: str) -> dict[str, Tensor]:
    """The tensors of a pretrained timm model, with timm's own conversions applied."""
    import timm

    if not timm.is_model(name):
        hint = did_you_mean(name.split(".")[0], timm.list_models())
        raise ValueError(f"timm has no model '{name}'; {hint}")
    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # the hub client has errors of its own
        first_line = (str(error).splitlines() or [""])[0][:200]
        raise ValueError(
            f"cannot get the weights of timm://{name} ({type(error).__name__}: {first_line}); "
            f"{_FROM_SCRATCH}"
        ) from error


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


def _some(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
