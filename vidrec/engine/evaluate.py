"""Scores of a network on a dataset: every sample exactly once, on any number of ranks."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from vidrec.config.schema import Precision, RuntimeConf
from vidrec.data.collate import to_device
from vidrec.data.unreadable import BadVideos
from vidrec.engine.distributed import Distributed
from vidrec.engine.metric import Metric

log = logging.getLogger(__name__)


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """The context of `runtime.precision`; fp32 changes nothing."""
    dtype = torch.float16 if precision == Precision.fp16 else torch.bfloat16
    return torch.autocast(device.type, dtype=dtype, enabled=precision != Precision.fp32)


@torch.inference_mode()
def evaluate(
    net: Any,
    metric: Metric,
    loader: Any,
    runtime: RuntimeConf,
    dist: Distributed,
    *,
    progress: Callable[[int, int], None] | None = None,
    bad_videos: BadVideos | None = None,
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Scores and the rows they come from, both the same on every rank.

    net: the bare module with `predict`, left in evaluation mode; not wrapped, so that ranks with
    fewer batches do not wait for a forward pass of the others. loader: this rank's share of the
    samples, none of them twice. progress: called with (batches done, batches). bad_videos: counts
    the unreadable files; without it they are only logged.

    The scores include `num_scored` if fewer samples were scored than the dataset has. The rows are
    sorted by index. Raises RuntimeError if samples are missing that were not reported unreadable.
    """
    net.eval()
    metric.reset()
    num_scored, num_bad = 0, 0
    for done, batch in enumerate(loader, start=1):
        bad = batch.pop("bad_videos", [])
        num_bad += len(bad)
        for line in _report(bad, bad_videos):
            log.warning(line)
        if "index" in batch:  # otherwise every video of the batch was unreadable
            num_scored += len(batch["index"])
            with autocast(dist.device, runtime.precision):
                predictions = net.predict(to_device(batch, dist.device))
            metric.update(predictions, batch)
        if progress is not None:
            progress(done, len(loader))
    counts = dist.gather({"scored": np.array([num_scored]), "bad": np.array([num_bad])})
    num_scored, num_bad = int(counts["scored"].sum()), int(counts["bad"].sum())
    num_samples = len(loader.dataset)
    if num_scored + num_bad < num_samples:
        raise RuntimeError(
            f"{num_scored} of {num_samples} samples were scored and {num_bad} were unreadable; "
            "the rest is missing: the ranks' shares do not cover the dataset"
        )
    rows = dist.gather(metric.rows)
    order = np.argsort(rows["index"], kind="stable")
    rows = {name: values[order] for name, values in rows.items()}
    scores = metric.compute(rows)
    if num_scored < num_samples:
        scores["num_scored"] = num_scored
    return scores, rows


def _report(bad: list[tuple[str, str]], bad_videos: BadVideos | None) -> list[str]:
    if bad_videos is not None:
        return bad_videos.add(bad)
    return [f"unreadable video {path}: {reason}" for path, reason in bad]
