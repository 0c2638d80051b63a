"""Does a composed model give the reference implementation's numbers?

    python benchmarks/parity.py --golden FILE [--experiment STEM] [--tolerance 1e-9] [KEY=VALUE ...]

FILE is a .json or .json.gz with figures of one model: its ordered `state_dict`, an `input` shape
and seed, `logits`, and perhaps averaged scores and a training step. Weights need no file: both
sides fill them by a rule from names and shapes (`value`), so equal names, shapes and arithmetic
give equal figures. The model is an experiment (by default the one named as FILE) with the
overrides applied.

Prints the largest differences; the last line is one JSON object. Exit status: 0 within tolerance,
1 past it, 2 when FILE holds figures of a kind that is not understood.
"""

import argparse
import gzip
import json
import math
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tests.parity.detection import evaluated, prepare, training_batch
from tests.parity.localization import DROPPED, compare_localizer
from vidrec.build import build_loss, build_net
from vidrec.config.compose import conf_dir, register
from vidrec.config.overrides import lenient
from vidrec.config.validation import ConfigError, check
from vidrec.models.detector import FastRCNN
from vidrec.models.recognizer import average_views

FLOAT32 = 1e-6  # relative rounding of what the reference computes in single precision

Differences = dict[str, float]  # of what was compared, relative to the size of the reference


class NotUnderstood(Exception):
    """The figures are of a kind that this script cannot compare."""


# --- what both sides agree on


def value(key: str, shape: Iterable[int]) -> Tensor:
    """The weights that the rule gives to a name and shape, float32."""
    shape = tuple(shape)
    generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
    if len(shape) >= 2:
        return torch.randn(shape, generator=generator) / math.sqrt(math.prod(shape[1:]))
    if key.endswith("running_var"):
        return 1 + 0.1 * torch.rand(shape, generator=generator)
    noise = 0.1 * torch.randn(shape, generator=generator)
    return 1 + noise if key.endswith("weight") else noise


@torch.no_grad()
def fill(net: nn.Module, scales: Iterable[tuple[str, int, float]]) -> None:
    """Overwrite parameters and BatchNorm statistics; constants of the architecture stay.

    scales: (part of a name, least number of dimensions, factor): what is multiplied afterwards, to
    keep activations of deep sums in range.
    """
    parameters = {name for name, _ in net.named_parameters(remove_duplicate=False)}
    for name, tensor in net.state_dict().items():
        statistics = name.endswith(("running_mean", "running_var"))
        constant = not statistics and (name not in parameters or name.endswith("sample_mask"))
        if constant or not tensor.is_floating_point():
            continue
        tensor.copy_(value(name, tensor.shape))
        for part, num_dims, factor in scales:
            if part in name and tensor.ndim >= num_dims:
                tensor.mul_(factor)


def drawn(shape: Iterable[int], seed: int, dtype: torch.dtype) -> Tensor:
    """The numbers of a seed depend on the type they are drawn in; given as float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(tuple(shape), generator=generator, dtype=dtype).double()


# --- from the reference's layouts to ours


def clips_of(golden: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
    """The inputs of evaluation and of the training step, (N, V, T, C, H, W) float64."""
    shape, train = golden["input"]["shape"], golden.get("train")
    if golden["model_cfg"]["type"] == "RecognizerGCN" or len(shape) not in (5, 6):
        raise NotUnderstood(f"input {shape} of a {golden['model_cfg']['type']}")
    clips = drawn(shape, golden["input"]["seed"], torch.float32)
    train_clips = drawn(train["input_shape"], train["seed"], torch.float64) if train else None
    if len(shape) == 6:  # (N, V, C, T, H, W)
        return clips.movedim(3, 2), None if train_clips is None else train_clips.movedim(3, 2)
    # (N, V * T, C, H, W): as many views as there are rows of logits.
    num_views = len(golden["logits"]) // shape[0]
    clips = clips.unflatten(1, (num_views, -1))
    if train_clips is not None:
        num_frames = clips.shape[2]
        if train_clips.shape[1] % num_frames:
            num_frames = train_clips.shape[1]
        train_clips = train_clips.unflatten(1, (-1, num_frames))
    return clips, train_clips


# --- comparisons


def relative(ours: Tensor, reference: Tensor) -> float:
    """The largest difference, relative to the largest value of the reference."""
    if ours.shape != reference.shape:
        raise SystemExit(f"shape {tuple(ours.shape)} instead of {tuple(reference.shape)}")
    error = (ours.double() - reference).abs().max() / reference.abs().max()
    return error.item() if error.isfinite() else math.inf


def compare_state(net: nn.Module, golden: dict[str, Any]) -> dict[str, list[str]]:
    """Names that only one side has, and names of different shape or type."""
    ours = {
        name: (list(t.shape), str(t.dtype).split(".")[1]) for name, t in net.state_dict().items()
    }
    theirs = {name: (shape, dtype) for name, shape, dtype in golden["state_dict"]}
    common = [name for name in ours if name in theirs]
    found = {
        "missing": [name for name in theirs if name not in ours],
        "extra": [name for name in ours if name not in theirs],
        "differing": [name for name in common if ours[name] != theirs[name]],
    }
    for kind, names in found.items():
        for name in names:
            print(f"  {kind} {name} ours {ours.get(name)} reference {theirs.get(name)}")
    print(f"state_dict: {len(common)} of {len(theirs)} names in common")
    if common != [name for name in theirs if name in ours]:
        print("state_dict: in another order")
    return found


def compare_constants(net: nn.Module, golden: dict[str, Any]) -> Differences:
    """Buffers that the rule leaves as constructed: their sums and sums of squares."""
    state = net.state_dict()
    errors = [0.0]
    for name, constant in golden["constants"].items():
        if name in state:
            ours = state[name].double()
            sums = torch.tensor([constant["sum"], constant["sumsq"]], dtype=torch.float64)
            errors.append(relative(torch.stack([ours.sum(), ours.square().sum()]), sums))
    return {"constants": max(errors)} if golden["constants"] else {}


def compare_evaluation(net: nn.Module, clips: Tensor, golden: dict[str, Any]) -> Differences:
    net.eval()
    reference = torch.tensor(golden["logits"], dtype=torch.float64)
    with torch.no_grad(), recorded(net, golden.get("modules", {})) as first:
        logits = net.outputs(clips)["logits"]
    differences = {"logits": relative(logits.flatten(0, 1), reference)}
    if first:
        print("first module whose output differs: " + first[0])
    joint = getattr(net.cls_head, "joint_views", False)
    for key, average_clips in (("avg_score", "score"), ("avg_prob", "prob")):
        if key in golden:
            scores = average_views(logits, average_clips, joint)
            expected = torch.tensor(golden[key], dtype=torch.float64).view(scores.shape)
            differences[key] = relative(scores, expected)
    return differences


@contextmanager
def recorded(net: nn.Module, fingerprints: dict[str, Any]) -> Iterator[list[str]]:
    """The modules, in the order they run, whose outputs do not have the reference's norm."""
    found: list[str] = []

    def check(name: str, output: Any) -> None:
        if isinstance(output, Tensor):
            norm, expected = output.double().norm().item(), fingerprints[name]["l2"]
            if abs(norm - expected) > 1e-9 * expected:
                found.append(f"{name} {tuple(output.shape)} norm {norm}, reference {expected}")

    handles = [
        module.register_forward_hook(lambda _, __, output, name=name: check(name, output))
        for name, module in net.named_modules()
        if "l2" in fingerprints.get(name, {})
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def compare_training(
    net: nn.Module, loss_fn: Any, clips: Tensor, golden: dict[str, Any]
) -> Differences:
    """Loss, gradient norms and BatchNorm statistics of one step without dropout."""
    train = golden["train"]
    without_dropout(net)
    net.train()
    net.zero_grad()
    label = torch.tensor(train["labels"])
    loss = loss_fn(net.outputs(clips), {"label": label})["loss"]
    loss.backward()
    differences = {"loss": abs(loss.item() - train["total"]) / abs(train["total"])}
    return differences | compare_gradients(net, train)


def compare_gradients(net: nn.Module, train: dict[str, Any]) -> Differences:
    """Gradient norms and BatchNorm statistics after a step."""
    differences: Differences = {}
    gradients = {n: p.grad.norm().item() for n, p in net.named_parameters() if p.grad is not None}
    expected = train["grad_norm"]["per_param"]
    total = train["grad_norm"]["total"]
    errors = {
        # Relative to 1e-6 of the total where the norm itself is hardly more than rounding.
        name: abs(gradients.get(name, 0.0) - norm) / max(norm, 1e-6 * total)
        for name, norm in expected.items()
    }
    worst = max(errors, key=errors.__getitem__)
    print(f"gradient norms of {len(errors)} parameters; the worst is {worst}")
    differences["grad_norm"] = errors[worst]
    ours = math.hypot(*gradients.values())
    differences["grad_norm_total"] = abs(ours - total) / total
    if "modules_in_train_mode_BN" in train:
        modes = [module.training for module in net.modules() if isinstance(module, _BatchNorm)]
        reference = [train["modules_in_train_mode_BN"], train["modules_in_eval_mode_BN"]]
        if [modes.count(True), modes.count(False)] != reference:
            print(f"BatchNorm layers in training, evaluation mode: {modes.count(True)}, ", end="")
            print(f"{modes.count(False)}; reference {reference}")
            differences["batch_norm_modes"] = math.inf
    statistics = train.get("running_mean_after", {})
    if statistics:
        state = net.state_dict()
        differences["running_mean"] = max(
            abs(state[name].norm().item() - norm) / norm if name in state else math.inf
            for name, norm in statistics.items()
        )
    return differences


def compare_detector(net: nn.Module, loss_fn: Any, golden: dict[str, Any]) -> Differences:
    """Logits and scores of boxes; losses and gradients of a step."""
    assert isinstance(net, FastRCNN)
    prepare(net)
    with recorded(net, golden.get("modules", {})) as first:
        pairs = evaluated(net, golden)
    if first:
        print("first module whose output differs: " + first[0])
    differences = {
        name: relative(ours, torch.tensor(theirs, dtype=torch.float64))
        for name, (ours, theirs) in pairs.items()
    }
    if "train" not in golden:
        return differences
    batch = training_batch(net, golden)
    without_dropout(net)
    net.train()
    net.zero_grad()
    losses = loss_fn(net(batch), batch)
    losses["loss"].backward()
    step = {
        name: abs(losses[name].item() - reference) / max(abs(reference), 1e-12)
        for name, reference in golden["train"]["losses"].items()
    }
    step |= compare_gradients(net, golden["train"])
    # The reference computes the loss in float32 whatever the type of the network.
    print(f"the step: relative difference {max(step.values()):.3g}, {FLOAT32:g} of it is float32")
    return differences | {name: 0.0 if d < FLOAT32 else d for name, d in step.items()}


def without_dropout(net: nn.Module) -> None:
    """Dropout, and stochastic depth as timm, torchvision and this package call its probability."""
    for module in net.modules():
        if "drop" in type(module).__name__.lower() or "StochasticDepth" in type(module).__name__:
            for name in ("p", "drop_prob"):
                if isinstance(getattr(module, name, None), float):
                    setattr(module, name, 0.0)


# --- the run


def composed(golden: dict[str, Any], experiment: str | None, overrides: list[str]) -> DictConfig:
    register()
    if experiment is None and (Path(conf_dir()) / "experiment" / f"{golden['key']}.yaml").is_file():
        experiment = golden["key"]
    # Without an experiment the number of classes is that of the figures, unless an override says.
    classes = [f"data.num_classes={len(golden['logits'][0])}"] if "logits" in golden else []
    first = [f"experiment={experiment}"] if experiment else classes
    print(f"experiment: {experiment}, overrides: {' '.join(overrides) or None}")
    GlobalHydra.instance().clear()
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        cfg = compose("train", overrides=lenient(first + overrides))
    try:
        check(cfg)
    except ConfigError as error:
        # What matters for training alone, such as channels that the data has not, may well differ.
        print(f"train.py would refuse this configuration: {error}")
    return cfg


def compare(golden: dict[str, Any], experiment: str | None, overrides: list[str]) -> dict[str, Any]:
    """Everything that the figures allow to compare. One branch for each kind of model."""
    kind = golden.get("model_cfg", {}).get("type")
    localizes, detects = kind in ("BMN", "TEM", "PEM"), kind == "FastRCNN"
    recognizes = not localizes and not detects
    if recognizes and not isinstance(golden.get("logits"), list):
        raise NotUnderstood(f"it has no list of `logits`; it has {', '.join(golden)}")
    clips, train_clips = clips_of(golden) if recognizes else (None, None)
    cfg = composed(golden, experiment, overrides)
    net = build_net(cfg.model)
    loss_fn = build_loss(cfg.model)
    report: dict[str, Any] = {"golden": golden["key"], **compare_state(net, golden)}
    count = sum(parameter.numel() for parameter in net.parameters())
    trained = sum(p.numel() for p in net.parameters() if p.requires_grad)
    print(f"parameters: {count}, reference {golden['n_params']}")
    print(f"trainable: {trained}, reference {golden['n_trainable']}")
    # Constants that the reference keeps as frozen parameters count for nothing here.
    constants = [math.prod(s) for n, s, _ in golden["state_dict"] if n in golden.get("frozen", ())]
    report["parameters"] = count - golden["n_params"] + (sum(constants) if localizes else 0)
    fill(net, golden.get("after_fill_scale") or [])
    net.double()
    if localizes:
        report["missing"] = [name for name in report["missing"] if name not in DROPPED]
        return report | {"differences": compare_localizer(net, loss_fn, golden)}
    if detects:
        return report | {"differences": compare_detector(net, loss_fn, golden)}
    differences = compare_constants(net, golden)
    differences |= compare_evaluation(net, clips, golden)
    if train_clips is not None:
        differences |= compare_training(net, loss_fn, train_clips, golden)
    return report | {"differences": differences}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="benchmarks/parity.py", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--golden", type=Path, required=True)
    parser.add_argument("--experiment")
    parser.add_argument("--tolerance", type=float, default=1e-9)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_intermixed_args(arguments)
    opener = gzip.open if options.golden.suffix == ".gz" else open
    with opener(options.golden, "rt") as file:
        golden = json.load(file)
    golden["key"] = options.golden.name.removesuffix(".gz").removesuffix(".json")
    try:
        report = compare(golden, options.experiment, options.overrides)
    except NotUnderstood as error:
        print(f"{options.golden} is not understood: {error}")
        return 2
    for name, difference in report["differences"].items():
        print(f"{name}: largest relative difference {difference:.3g}")
    same_state = not any(report[key] for key in ("missing", "extra", "differing", "parameters"))
    close = all(difference <= options.tolerance for difference in report["differences"].values())
    # JSON has no infinity; null stands for figures that one side has not.
    finite = {k: v if math.isfinite(v) else None for k, v in report["differences"].items()}
    report |= {"differences": finite, "tolerance": options.tolerance}
    report["passed"] = same_state and close
    print(json.dumps(report))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
