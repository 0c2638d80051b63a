"""Where weights come from: paths, URLs, `zoo://STEM`, `torchvision://NAME` and `timm://NAME`.

Files are opened without executing anything in them (`vidrec.files.weight_files`).
"""

import hashlib
import http.client
import os
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO

import torch
from torch import Tensor
from tqdm import tqdm

from vidrec.errors import did_you_mean
from vidrec.files.atomic_write import atomic_write
from vidrec.files.checkpoint_files import digest_in, not_a_checkpoint
from vidrec.files.weight_files import open_weights
from vidrec.weights import zoo
from vidrec.weights.convert import Found, find_states
from vidrec.weights.report import some

_WAY_OUT = "pass the path of a file instead"


class NotDownloaded(ValueError):
    """Weights that are elsewhere and could not be fetched."""


def read_weights(source: str | os.PathLike[str], *, averaged: bool = True) -> dict[str, Tensor]:
    """The tensors of a source by their names in the file, on the CPU.

    averaged: prefer the moving average of the weights if a checkpoint has both.
    """
    return find_weights(source, averaged=averaged)[0].tensors


def find_weights(source: str | os.PathLike[str], *, averaged: bool = True) -> list[Found]:
    """All sets of tensors that a source has, the preferred one first; see `find_states`."""
    source = str(source)
    scheme, separator, rest = source.partition("://")
    if separator and scheme == "timm":
        return [Found("", _timm(rest))]
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
    if not (found := find_states(open_weights(path), averaged)):
        raise ValueError(f"{path} contains no named tensors; expected a state_dict or a checkpoint")
    return found


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
            raise NotDownloaded(
                f"the file at {url} has a SHA-256 that begins with {found[:8]}, not with the "
                f"{digest} in its name: try again, or {_WAY_OUT}"
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
                        raise NotDownloaded(f"the file at {url} {reason}; {_WAY_OUT}")
                    file.write(chunk)
                    sha.update(chunk)
                    done += len(chunk)
                    bar.update(len(chunk))
        if done < max(size, 1):
            raise ConnectionError(f"the connection ended after {done} of {size} bytes")
    except (OSError, http.client.HTTPException) as error:  # OSError: urllib's too, and a full disk
        why = str(error).removeprefix("<urlopen error ").removesuffix(">")
        raise NotDownloaded(f"cannot download {url} ({why}); {_WAY_OUT}") from error
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
        have = some(list(published)) or "none"
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
        raise NotDownloaded(
            f"cannot get the weights of timm://{name} ({type(error).__name__}: {first_line}); "
            f"{_WAY_OUT}"
        ) from error
