"""Proposals of untrimmed videos with features of their own, as `vidrec proposals` writes them."""

import os
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from vidrec.data.segments.collate import ProposalSample, collate_proposals
from vidrec.data.segments.records import SegmentRecords


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
        with np.load(self.folder / f"{record.name}.npz", allow_pickle=False) as file:
            proposals, iou, features = (
                file[name][: self.top_k] for name in ("proposals", "iou", "features")
            )
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
