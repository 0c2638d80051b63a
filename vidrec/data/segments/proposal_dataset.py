"""Proposals of untrimmed videos with features of their own, as `vidrec proposals` writes them."""

import os
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from vidrec.data.segments.collate import ProposalSample, collate_proposals
from vidrec.data.segments.records import SegmentRecords
from vidrec.files.arrays import read_npz


class ProposalDataset(Dataset):
    """Samples of a `ProposalBatch`.

    records: the videos. folder: NAME.npz of each, as `vidrec proposals` writes them. top_k: number
    of best proposals of a video; fewer are padded with zeros.
    """

    collate = staticmethod(collate_proposals)

    def __init__(self, records: SegmentRecords, folder: str, top_k: int) -> None:
        self.records = records
        self.folder = Path(folder)
        self.top_k = top_k
        self.num_channels = 0  # of the features, known from the first video that is read
        present = {entry.name for entry in os.scandir(folder)} if self.folder.is_dir() else set()
        missing = [record.name for record in records if f"{record.name}.npz" not in present]
        if missing:
            raise FileNotFoundError(
                f"{len(missing)} of {len(records)} videos have no proposals in {folder}, the first "
                f"is {missing[0]}; create them with `vidrec proposals run=DIR out={folder}`, where "
                "DIR is a run of model=bsn_tem"
            )

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: int | tuple[int, int]) -> ProposalSample:
        """The sample of `(epoch, index)`; it is the same in every epoch."""
        index = key[1] if isinstance(key, tuple) else key
        record = self.records[index]
        proposals, iou, features = self._read(record.name)
        count = len(proposals)
        rest = [(0, self.top_k - count)]
        return {
            "proposal": np.pad(proposals[:, :4], [*rest, (0, 0)])[None],
            "proposal_feature": np.pad(features, [*rest, (0, 0)])[None],
            "iou": np.pad(iou, rest)[None],
            "num_proposals": np.array([count], np.int64),
            "index": np.array([index], np.int64),
            "row": np.array([index], np.int64),
            "window": np.array([[0.0, record.result_span]]),
        }

    def _read(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The best `top_k` proposals of a video, their IoUs and their features."""
        file = self.folder / f"{name}.npz"
        arrays = read_npz(file, ["proposals", "iou", "features"])
        proposals, iou, features = arrays.values()
        fits = proposals.ndim == features.ndim == 2 and proposals.shape[1] >= 4
        if not fits or iou.shape != (len(proposals),) or len(features) != len(proposals):
            shapes = ", ".join(f"{key} {values.shape}" for key, values in arrays.items())
            raise ValueError(
                f"{file} has {shapes}; expected proposals (M, 4 or more), iou (M,), features (M, C)"
            )
        for key, values in arrays.items():
            if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
                raise ValueError(f"{file}: {key} has values that are no finite numbers")
        self.num_channels = self.num_channels or features.shape[1]
        if features.shape[1] != self.num_channels:
            raise ValueError(
                f"{file} has features of {features.shape[1]} numbers, others of {self.num_channels}"
            )
        return proposals[: self.top_k], iou[: self.top_k], features[: self.top_k]
