"""Between the networks of BSN: turn the boundaries that the first finds into proposals."""

from pathlib import Path

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
from vidrec.models.localizer import TEM
from vidrec.progress import track
from vidrec.weights.load import load_all


@torch.inference_mode()
def proposals_run(conf: ProposalsConf) -> None:
    """Write `conf.out`/NAME.npz for every video of the training and validation lists."""
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
        net = net_to_device(net, dist.device).eval()
        if dist.rank == 0:
            print(loaded)
        shown = conf.runtime.progress and dist.rank == 0
        for split in ("train", "val"):
            dataset = build.build_dataset(conf.data, split)
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
            print(f"proposals: {conf.out}")
    finally:
        dist.stop()


def _write(
    conf: ProposalsConf, dataset: ActivityNetDataset, batch: FeatureBatch, scores: np.ndarray
) -> None:
    """scores: (N, T, 3)."""
    assert conf.out is not None
    for row, own in zip(batch["row"].tolist(), scores, strict=True):
        record = dataset.records[row]
        made = make_proposals(
            own,
            record.segments / record.span,
            top_k=conf.top_k,
            peak_threshold=conf.peak_threshold,
            boundary_ratio=conf.bsp_boundary_ratio,
            num_sample_start=conf.num_sample_start,
            num_sample_end=conf.num_sample_end,
            num_sample_action=conf.num_sample_action,
            num_sample_interp=conf.num_sample_interp,
        )
        write_proposals(made, Path(conf.out) / f"{record.name}.npz")
