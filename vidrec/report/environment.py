"""What a result was computed with: versions, machine and commit."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

import vidrec

_PACKAGES = ("torch", "torchvision", "timm", "av", "numpy", "hydra-core", "omegaconf")


def environment(device: torch.device, world: int) -> dict[str, str]:
    """Name -> text, in the order to show them in. world: number of processes that took part."""
    found = {"vidrec": vidrec.__version__, "commit": commit(), "python": platform.python_version()}
    found |= {package: _version(package) for package in _PACKAGES}
    found["device"] = f"{world} x {_device(device)}"
    found["cpu"] = f"{_processor()}, {len(os.sched_getaffinity(0))} cores"
    found["system"] = f"{platform.system()} {platform.machine()}"
    return {name: text for name, text in found.items() if text}


def commit() -> str:
    """The commit of the checkout that vidrec runs from, and whether files differ from it.

    Empty for an installed package, and without git.
    """
    root = Path(vidrec.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return ""
    head, changed = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain")
    if not head:
        return ""
    return f"{head[:12]} with uncommitted changes" if changed else head[:12]


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _device(device: torch.device) -> str:
    if device.type != "cuda":
        return device.type
    return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"


def _processor() -> str:
    """The name of the processor's model, as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
