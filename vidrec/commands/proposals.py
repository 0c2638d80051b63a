"""Between the networks of BSN: turn the boundaries that the first finds into proposals."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch

from vidrec import build
from vidrec.config.schema import ProposalsConf
from vidrec.data.collate import to_device
from vidrec.data.segments.batch import FeatureBatch
from vidrec.data.segments.bsn_proposals import make_proposals, write_proposals
from vidrec.data.segments.dataset import ActivityNetDataset
from vidrec.engine import distributed
from vidrec.engine.evaluate import autocast
from vidrec.engine.setup import net_to_device, set_torch_options
from vidrec.files.output_folder import check_output_folder, mark_output_folder
from vidrec.models.localizer import TEM
from vidrec.progress import track
from vidrec.weights.digest import digest_of
from vidrec.weights.load import load_all


@torch.inference_mode()
def proposals_run(conf: ProposalsConf) -> None:
    """Write `conf.out`/NAME.npz for every video of the training and validation lists.

    Raises ValueError if the folder has proposals of another network or made with other settings,
    FileExistsError if it has other files of these names.
    """
    if conf.out is None:
        raise ValueError("missing output folder: pass out=DIR")
    if conf.checkpoint is None:
        raise ValueError("missing weights: pass run=DIR or checkpoint=FILE")
    dist = distributed.start(conf.runtime.device, conf.runtime.dist_timeout_minutes)
    try:
        set_torch_options(conf.runtime)
        build.prepare_data(conf, dist)
        net = build.build_net(conf.model)
        if not isinstance(net, TEM):
            raise ValueError(
                f"proposals are made by model=bsn_tem, not by {type(net).__name__}: pass its run"
            )
        loaded = load_all(net, conf.checkpoint, allow_non_finite=conf.model.allow_non_finite)
        datasets = {split: build.build_dataset(conf.data, split) for split in ("train", "val")}
        names = names_of(datasets.values())
        folder = Path(conf.out)
        settings = settings_of(conf, digest_of(net, loaded.loaded))
        check_output_folder(folder, settings, [f"{name}.npz" for name in names])
        dist.barrier()  # every rank has seen the folder before the first writes something
        net = net_to_device(net, dist.device).eval()
        if dist.rank == 0:
            print(loaded)
            mark_output_folder(folder, settings)
        shown = conf.runtime.progress and dist.rank == 0
        for split, dataset in datasets.items():
            loader = build.evaluation_loader(
                dataset, conf.schedule.test_batch_size, conf.runtime, dist
            )
            for batch in track(loader, f"proposals of {split}", shown):
                with autocast(dist.device, conf.runtime.precision):
                    scores = net(to_device(batch, dist.device))
                columns = [scores[name].double() for name in ("action", "start", "end")]
                _write(conf, dataset, batch, torch.stack(columns, dim=-1).cpu().numpy())
        dist.barrier()
        if dist.rank == 0:
            print(f"{conf.out}: proposals of {len(names)} videos")
    finally:
        dist.stop()


class Options(TypedDict):
    """The arguments of `make_proposals`."""

    top_k: int
    peak_threshold: float
    boundary_ratio: float
    num_sample_start: int
    num_sample_end: int
    num_sample_action: int
    num_sample_interp: int


def names_of(datasets: Iterable[ActivityNetDataset]) -> list[str]:
    """The videos of the datasets. Raises ValueError if two of them have one name."""
    segments: dict[str, np.ndarray] = {}
    for dataset in datasets:
        if dataset.windows is not None:
            raise ValueError("data.windows cuts videos: proposals are made of whole ones, set null")
        for row in dataset.rows.tolist():
            record = dataset.records[row]
            own = record.segments / record.span
            if not np.array_equal(segments.setdefault(record.name, own), own):
                raise ValueError(
                    f"{record.name} is listed twice, with other segments: its proposals can have "
                    "only one of them; rename it or correct the lists"
                )
    return list(segments)


def settings_of(conf: ProposalsConf, weights: str) -> dict[str, str]:
    """What the proposals of a video depend on besides its features; weights: their hash."""
    return {
        "command": "vidrec proposals",
        "weights": weights,
        "model.net": json.dumps(conf.model.net, sort_keys=True),
        "precision": conf.runtime.precision,
        **{name: str(value) for name, value in _options(conf).items()},
    }


def _options(conf: ProposalsConf) -> Options:
    return {
        "top_k": conf.top_k,
        "peak_threshold": conf.peak_threshold,
        "boundary_ratio": conf.bsp_boundary_ratio,
        "num_sample_start": conf.num_sample_start,
        "num_sample_end": conf.num_sample_end,
        "num_sample_action": conf.num_sample_action,
        "num_sample_interp": conf.num_sample_interp,
    }


def _write(
    conf: ProposalsConf, dataset: ActivityNetDataset, batch: FeatureBatch, scores: np.ndarray
) -> None:
    """scores: (N, T, 3)."""
    assert conf.out is not None
    for row, own in zip(batch["row"].tolist(), scores, strict=True):
        record = dataset.records[row]
        if not np.isfinite(own).all():
            raise ValueError(
                f"{record.name}: the scores of its boundaries are not finite: check its features, "
                "the weights, or use runtime.precision=fp32"
            )
        made = make_proposals(own, record.segments / record.span, **_options(conf))
        write_proposals(made, Path(conf.out) / f"{record.name}.npz")
