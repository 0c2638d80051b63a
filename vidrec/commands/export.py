"""Write a trained network as one file that runs without vidrec, and compare the two."""

import importlib.util
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from vidrec import build
from vidrec.config.schema import (
    ClipDataConf,
    ExportConf,
    ExportFormat,
    ExportOutput,
    RecognizerConf,
)
from vidrec.files.signature import refuse_others, sign
from vidrec.models.recognizer import Recognizer, average_views
from vidrec.weights.load import load_all

# Fraction of the largest output that another order of summation may change in float32.
TOLERANCE = 1e-3


def export_run(conf: ExportConf) -> float:
    """Write `conf.out` as `conf.format`; returns the largest difference from the network's outputs.

    Raises ValueError if that is more than rounding explains; the file is kept for inspection.
    """
    if conf.format == ExportFormat.onnx:
        require_onnx()
    if not isinstance(conf.data, ClipDataConf):
        raise ValueError(f"only recognition models are exported; this one is for {conf.model.task}")
    path = Path(conf.out or f"model.{'onnx' if conf.format == ExportFormat.onnx else 'pt2'}")
    refuse_others([path])
    net = build.build_net(conf.model)
    if conf.checkpoint is None:
        print("warning: exporting untrained weights: neither run=DIR nor checkpoint=FILE is given")
    else:
        loaded = load_all(net, conf.checkpoint, allow_non_finite=conf.model.allow_non_finite)
        print(loaded)
    assert isinstance(net, Recognizer)
    exported = Clips(net, conf.output).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = clip_shape(conf)
    # The memory layout of attention outputs depends on the kernel; exporters expect this one.
    with sdpa_kernel(SDPBackend.MATH):
        program = trace(exported, shape)
        if conf.format == ExportFormat.onnx:
            save_onnx(program, path)
        else:
            torch.export.save(program, path)
    sign(path)
    difference = largest_difference(exported, path, shape)
    given = ", ".join(map(str, shape))
    views = f"{conf.views}, " if conf.output == ExportOutput.logits else ""
    print(
        f"{path}: {path.stat().st_size / 1e6:.1f} MB, video (N, {given}) uint8 -> {conf.output} "
        f"(N, {views}{conf.data.num_classes}); it differs from the network by at most "
        f"{difference:.1e} of the largest output"
    )
    if not difference <= TOLERANCE:  # NaN too
        raise ValueError(
            f"{path} differs from the network by {difference:.1e} of its largest output, more than "
            "rounding explains: do not use it"
        )
    return difference


class Clips(nn.Module):
    """`video` (N, V, T, H, W, C) uint8 -> scores (N, K), or logits (N, V, K) of each view."""

    def __init__(self, net: Recognizer, output: ExportOutput) -> None:
        super().__init__()
        self.net = net
        self.output = output

    def forward(self, video: Tensor) -> Tensor:
        logits = self.net.outputs(self.net.normalise(video))["logits"].float()
        if self.output == ExportOutput.logits:
            return logits
        joint = getattr(self.net.cls_head, "joint_views", False)
        return average_views(logits, self.net.average_clips, joint)


def clip_shape(conf: ExportConf) -> tuple[int, ...]:
    """V, T, H, W, C of the network's input in a test with one crop."""
    assert isinstance(conf.model, RecognizerConf)
    assert isinstance(conf.data, ClipDataConf)
    clip = conf.model.clip
    sampled = clip.frames * clip.test_clips
    frames = clip.frames_per_view or sampled
    size = conf.size or clip.size
    return conf.views, frames // conf.data.stack, size, size, conf.model.channels


def trace(module: nn.Module, shape: tuple[int, ...]) -> torch.export.ExportedProgram:
    """Trace the module for any number of samples."""
    batch = torch.export.Dim("batch", min=1, max=1024)
    with torch.no_grad():
        return torch.export.export(
            module, (_random_clips(2, shape),), dynamic_shapes=({0: batch},), strict=False
        )


def save_onnx(program: torch.export.ExportedProgram, path: Path) -> None:
    onnx = torch.onnx.export(
        program, dynamo=True, input_names=["video"], output_names=["output"], verbose=False
    )
    assert onnx is not None
    onnx.save(str(path))


def run_file(path: Path, video: Tensor) -> Tensor:
    """The outputs of the written file."""
    if path.suffix != ".onnx":
        return torch.export.load(path).module()(video)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = session.run(None, {"video": video.numpy()})
    return torch.from_numpy(np.asarray(outputs[0]))


@torch.no_grad()
def largest_difference(module: nn.Module, path: Path, shape: tuple[int, ...]) -> float:
    """Difference between file and module over the largest output, for two batch sizes."""
    differences = []
    for num_samples in (1, 3):
        video = _random_clips(num_samples, shape)
        expected = module(video)
        difference = (run_file(path, video) - expected).abs().max() / expected.abs().max()
        differences.append(difference.item())
    return float(np.max(differences))  # NaN if one of them is


def require_onnx() -> None:
    names = ("onnx", "onnxscript", "onnxruntime")
    if missing := [name for name in names if importlib.util.find_spec(name) is None]:
        raise ValueError(
            f"format=onnx needs {', '.join(missing)}: pip install 'vidrec[export]', or "
            "format=torch_export"
        )


def _random_clips(num_samples: int, shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(num_samples)
    return torch.randint(0, 256, (num_samples, *shape), dtype=torch.uint8, generator=generator)
