"""Write the bank of long-term features of boxes that `vidrec.data.boxes.feature_bank` reads."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch.utils.data import Dataset

from vidrec import build
from vidrec.config.schema import BankConf, DataConf
from vidrec.data.boxes.batch import BoxBatch
from vidrec.data.boxes.collate import BoxSample
from vidrec.data.boxes.dataset import BoxDataset
from vidrec.data.boxes.feature_bank import index_of, write_bank
from vidrec.data.boxes.keys import second_of
from vidrec.data.boxes.records import BoxRecords
from vidrec.data.collate import to_device
from vidrec.data.unreadable import BadVideos, Skipped
from vidrec.engine import distributed
from vidrec.engine.distributed import Distributed
from vidrec.engine.evaluate import autocast
from vidrec.engine.setup import net_to_device, set_torch_options
from vidrec.files.arrays import read_npz
from vidrec.files.atomic_write import atomic_write
from vidrec.files.partial_results import delete_partial_results, open_partial_results
from vidrec.files.signature import refuse_others, sign, version_of
from vidrec.models.detector import FastRCNN
from vidrec.models.features import in_half_precision
from vidrec.progress import print_above, track
from vidrec.weights.digest import digest_of
from vidrec.weights.load import load_all

PART = 2000  # key frames per file; an interrupted run loses at most this many
BEHIND_FEATURES = ("roi_head.bbox_head.", "roi_head.shared_head.")  # weights that do not matter


class Part(Dataset):
    """The samples `start` to `stop` of a dataset."""

    def __init__(self, dataset: BoxDataset, start: int, stop: int) -> None:
        self.dataset = dataset
        self.start = start
        self.stop = min(stop, len(dataset))
        self.collate = dataset.collate

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, key: tuple[int, int]) -> BoxSample | Skipped:
        return self.dataset[key[0], self.start + key[1]]


def bank_run(conf: BankConf) -> None:
    """Write the features of every box of a split; parts that exist already are kept."""
    if conf.checkpoint is None:
        raise ValueError("missing weights: pass run=DIR or checkpoint=FILE")
    if Path(conf.out).suffix != ".npy":
        raise ValueError(f"out={conf.out} does not end with .npy")
    refuse_others([conf.out, index_of(conf.out)])
    dist = distributed.start(conf.runtime.device, conf.runtime.dist_timeout_minutes)
    try:
        set_torch_options(conf.runtime)
        build.prepare_data(conf, dist)
        data = data_of(conf)
        dataset = build.build_dataset(data, "val")
        net = build.build_net(conf.model)
        if not isinstance(net, FastRCNN):
            raise ValueError("a bank holds features of boxes: choose a detector, e.g. slowonly_ava")
        loaded = load_all(
            net,
            conf.checkpoint,
            but=BEHIND_FEATURES,
            allow_non_finite=conf.model.allow_non_finite,
        )
        weights = [name for name in loaded.loaded if not name.startswith(BEHIND_FEATURES)]
        settings = settings_of(conf, data, dataset, digest_of(net, weights))
        net_to_device(net, dist.device).eval()
        if dist.rank == 0:
            print(loaded)
            open_partial_results(conf.out, settings)
        dist.barrier()
        folder = open_partial_results(conf.out, settings)
        write_parts(net, dataset, folder, conf, dist)
        dist.barrier()
        if dist.rank == 0:
            count, frames = join_parts(folder, dataset.records, conf.out)
            print(f"{conf.out}: {count:,} features of {frames:,} of {len(dataset):,} key frames")
    finally:
        dist.stop()


def data_of(conf: BankConf) -> DataConf:
    """The boxes of the split, seen as in evaluation: nothing is random."""
    own = {name: getattr(conf.data, conf.split)[name] for name in ("records", "prefix")}
    return replace(conf.data, val=conf.data.val | own | {"bank": None})


def settings_of(conf: BankConf, data: DataConf, dataset: BoxDataset, weights: str) -> str:
    """All that the features depend on; weights: their hash."""
    records = dataset.records
    boxes = hashlib.sha256()
    proposals = records.proposals
    for array in (records.video, records.timestamps, proposals.values, proposals.ends):
        boxes.update(array.tobytes())
    return json.dumps(
        {
            "weights": weights,
            "net": conf.model.net,
            "data": data.val,
            "precision": conf.runtime.precision,
            "videos": {path: version_of(path) for path in dataset.paths},
            "boxes": boxes.hexdigest(),
        }
    )


@torch.inference_mode()
def write_parts(
    net: FastRCNN, dataset: BoxDataset, folder: Path, conf: BankConf, dist: Distributed
) -> None:
    """FOLDER/START.npz: `index` (R,) rows of the records and `features` (R, C) float16."""
    alone = Distributed(device=dist.device)
    shown = conf.runtime.progress and dist.rank == 0
    starts = range(0, len(dataset), PART)
    bad_videos = BadVideos(len(dataset), build.max_bad_fraction(conf.data))
    for number, start in enumerate(starts):
        file = folder / f"{start:08d}.npz"
        if number % dist.world != dist.rank or file.exists():
            continue
        part = Part(dataset, start, start + PART)
        loader = build.evaluation_loader(part, conf.schedule.val_batch_size, conf.runtime, alone)
        index, features = [np.zeros(0, np.int64)], []
        for batch in track(loader, f"part {number + 1} of {len(starts)}", shown):
            for line in bad_videos.add(batch.pop("bad_videos", [])):
                print_above(f"warning: {line}")
            if "index" in batch:
                moved = cast(BoxBatch, to_device(batch, dist.device))
                with autocast(dist.device, conf.runtime.precision):
                    rows = net.features(moved)
                first = dataset.records.name(int(batch["index"][0]))
                features.append(in_half_precision(rows, f"boxes from {first} on"))
                index.append(batch["index"][batch["box_view"]].numpy())
        together = np.concatenate(features) if features else np.zeros((0, 1), np.float16)
        with atomic_write(file) as stream:
            np.savez(stream, index=np.concatenate(index), features=together)


def join_parts(folder: Path, records: BoxRecords, out: str) -> tuple[int, int]:
    """Write the bank and delete its parts; returns the number of features and of key frames."""
    bank: dict[str, dict[int, list[np.ndarray]]] = {}
    count = frames = 0
    for file in sorted(folder.glob("*.npz")):
        try:
            part = read_npz(file, ["index", "features"])
        except ValueError as error:
            raise ValueError(f"{error}; delete it, the same command makes it again") from None
        index, features = part["index"], part["features"]
        rows = np.unique(index).tolist()
        count, frames = count + len(index), frames + len(rows)
        for row in rows:
            video = records.videos[records.video[row]]
            second = second_of(float(records.timestamps[row]))
            bank.setdefault(video, {}).setdefault(second, []).append(features[index == row])
    whole: Mapping[str, Mapping[int, np.ndarray]] = {
        video: {second: np.concatenate(rows) for second, rows in seconds.items()}
        for video, seconds in bank.items()
    }
    write_bank(out, whole)
    sign(out)
    sign(index_of(out))
    delete_partial_results(folder)
    return count, frames
