"""Two samples through everything, before the first step of a run that has parts of the user's own.

A part that returns what the next one cannot use fails here, in the first seconds and by its name,
not at the end of the first epoch. Nothing of the run changes: no step is taken, and random states,
buffers and the metric's rows are as before.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vidrec.config.signatures import target_nodes
from vidrec.data.collate import to_device
from vidrec.engine.evaluate import autocast
from vidrec.engine.job import Batch, Job
from vidrec.errors import ConfigError

_KNOWN = ("vidrec", "torch", "torchvision", "timm")
_FAULTS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_MORE = "(docs/own_code.md)"


def has_own_parts(tree: Mapping[str, object]) -> bool:
    """Whether a resolved configuration names any class of other packages."""
    return any(str(n["_target_"]).split(".")[0] not in _KNOWN for _, n in target_nodes(tree))


def rehearse(job: Job) -> None:
    """Pass two samples through training and evaluation.

    Raises ConfigError that names the part that failed and what it was given, or what it returned.
    """
    with _unchanged(job.net, job.dist.device):
        _rehearse_training(job)
        _rehearse_evaluation(job)
        job.metric.reset()


def _rehearse_training(job: Job) -> None:
    batch = _batch(job, job.loaders.train.dataset, "data.train")
    if batch is None:
        return
    job.net.train()
    batch = job.mixing(batch) if job.mixing else batch
    with autocast(job.dist.device, job.runtime.precision):
        outputs = _made(f"model.net {_name(job.net)}", lambda: job.net(batch), batch=batch)
        loss = f"model.loss {_name(job.loss_fn)}"
        losses = _made(loss, lambda: job.loss_fn(outputs, batch), outputs=outputs, batch=batch)
    if not isinstance(losses, Mapping) or not isinstance(losses.get("loss"), Tensor):
        raise ConfigError(
            f"{loss} returned {_shown(losses)}: it returns a dictionary with 'loss', a scalar "
            f"tensor {_MORE}"
        )
    for name, value in losses.items():
        if not isinstance(value, Tensor) or value.ndim:
            raise ConfigError(
                f"{loss} returned '{name}' as {_shown(value)}: every entry is a scalar tensor "
                f"{_MORE}"
            )
    if not losses["loss"].requires_grad:
        raise ConfigError(
            f"{loss} returned a loss without a gradient: it must be computed from the outputs of "
            f"the network, {_shown(outputs)}, by differentiable operations {_MORE}"
        )


@torch.inference_mode()
def _rehearse_evaluation(job: Job) -> None:
    batch = _batch(job, job.loaders.val.dataset, "data.val")
    if batch is None:
        return
    job.net.eval()
    net, metric = f"model.net {_name(job.net)}", f"data.metric {_name(job.metric)}"
    predict: Callable[[Any], Any] = job.net.predict  # type: ignore[assignment]
    with autocast(job.dist.device, job.runtime.precision):
        predictions = _made(f"{net}.predict", lambda: predict(batch), batch=batch)
    job.metric.reset()
    given = {"predictions": predictions, "batch": batch}
    _made(f"{metric}.update", lambda: job.metric.update(predictions, batch), **given)
    rows = _made(f"{metric}.rows", lambda: job.metric.rows)
    lengths = {len(column) for column in rows.values()} if _are_columns(rows) else set()
    if len(lengths) != 1 or "index" not in rows:
        raise ConfigError(
            f"{metric}.rows is {_shown(rows)}: it is a dictionary of numpy arrays of one length, "
            f"'index', the batch's, among them {_MORE}"
        )
    if has_own_parts({"metric": {"_target_": _full_name(job.metric)}}):  # others need all samples
        try:
            scores = _made(f"{metric}.compute", lambda: job.metric.compute(rows), rows=rows)
        except (AssertionError, ValueError) as refusal:
            if isinstance(refusal, ConfigError) and not isinstance(refusal.__cause__, ValueError):
                raise
            return  # of so few samples
        if not isinstance(scores, Mapping) or job.metric.key not in scores:
            raise ConfigError(
                f"{metric}.compute returned {_shown(scores)}: it returns a dictionary of numbers, "
                f"'{job.metric.key}', its key, among them {_MORE}"
            )


def _are_columns(rows: object) -> bool:
    return isinstance(rows, Mapping) and all(isinstance(c, np.ndarray) for c in rows.values())


def _batch(job: Job, dataset: Any, path: str) -> Batch | None:
    """A batch of the first two samples; None if they cannot be read, which the loop counts."""
    part = f"{path} {_name(dataset)}"
    samples = _made(part, lambda: [dataset[(0, i % len(dataset))] for i in range(2)])
    batch = _made(f"{part}.collate", lambda: dataset.collate(samples), samples=samples)
    if isinstance(batch, Mapping) and "index" not in batch and "bad_videos" in batch:
        return None
    if not isinstance(batch, Mapping) or not isinstance(batch.get("index"), Tensor):
        raise ConfigError(
            f"{part}.collate returned {_shown(batch)}: a batch is a dictionary with 'index', a "
            f"tensor of the samples' rows {_MORE}"
        )
    return to_device({k: v for k, v in batch.items() if k != "bad_videos"}, job.dist.device)


def _made(part: str, make: Callable[[], Any], **given: object) -> Any:
    """What a part returns. Raises ConfigError that says what it was given."""
    try:
        return make()
    except torch.cuda.OutOfMemoryError:
        raise
    except _FAULTS as error:
        of = f" on {', '.join(f'{k} {_shown(value)}' for k, value in given.items())}" * bool(given)
        what = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{part} failed{of}: {what} {_MORE}") from error


@contextmanager
def _unchanged(net: nn.Module, device: torch.device) -> Iterator[None]:
    """Random states, buffers and modes as before."""
    modes = [(module, module.training) for module in net.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in net.buffers()]
    of_numpy, of_python = np.random.get_state(), random.getstate()  # noqa: NPY002 - own code may
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        np.random.set_state(of_numpy)  # noqa: NPY002
        random.setstate(of_python)
        for module, training in modes:
            module.training = training
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


def _full_name(part: object) -> str:
    return f"{type(part).__module__}.{type(part).__qualname__}"


def _name(part: object) -> str:
    return f"({_full_name(part)})"


def _shown(value: object) -> str:
    """Keys, types and shapes instead of values.

    >>> _shown({"logits": torch.zeros(2, 1, 8), "name": "a"})
    '{logits: float32 (2, 1, 8), name: str}'
    """
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_shown(item)}' for key, item in value.items())}}}"
    if isinstance(value, Tensor | np.ndarray):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    if isinstance(value, list | tuple) and value:
        return f"{type(value).__name__} of {len(value)}, the first {_shown(value[0])}"
    return type(value).__name__
