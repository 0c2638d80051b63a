"""Proposals between BSN's networks against reference figures.

tests/golden/localization.json.gz was computed with MMAction2 1.2.0.
"""

import numpy as np
import pytest

from tests.paths import read_golden
from vidrec.data.segments.bsn_proposals import (
    VideoProposals,
    action_features,
    make_proposals,
    write_proposals,
)
from vidrec.data.segments.collate import collate_proposals
from vidrec.data.segments.proposal_dataset import ProposalDataset
from vidrec.data.segments.records import SegmentRecord, SegmentRecords

GOLDEN = read_golden("localization.json.gz")["pgm"]


def test_proposals_are_the_published_ones():
    info = GOLDEN["info"]
    span = info["feature_frame"] / info["duration_frame"] * info["duration_second"]
    segments = np.array([a["segment"] for a in info["annotations"]]) / span
    scores = np.array(GOLDEN["scores"]).astype(np.float32).astype(np.float64)
    made = make_proposals(scores, segments, top_k=10**6)
    table = np.column_stack([made.proposals, made.iou, made.ioa])
    expected = GOLDEN["candidates"]
    assert list(table.shape) == expected["shape"]
    np.testing.assert_allclose(table.sum(axis=0), expected["sum"], rtol=1e-12)
    np.testing.assert_allclose(table[:40], expected["first40"], atol=1e-9)
    np.testing.assert_allclose(table[-3:], expected["last"], atol=1e-9)
    # The reference reads times and scores back from text, as float32.
    features = GOLDEN["features"]
    np.testing.assert_allclose(made.features[:5], features["first5"], atol=1e-5)
    np.testing.assert_allclose(made.features[:500].sum(axis=0), features["colsum"], rtol=1e-6)


def test_features_of_a_constant_and_of_nothing_outside():
    start, end = np.array([0.4, 0.0]), np.array([0.6, 1.0])
    settings = (0.2, 8, 8, 16, 3)
    features = action_features(np.ones(50), start, end, *settings)
    assert features.shape == (2, 32)
    np.testing.assert_allclose(features[0], 1.0)
    # Half of the surroundings of both ends of the sequence lie outside.
    assert features[1, 16] == 0
    assert features[1, 31] == 0
    assert features[1, 8] == 1


def test_dataset_fills_up_and_cuts(tmp_path):
    rng = np.random.default_rng(0)
    for name, count in (("a", 2), ("b", 5)):
        made = VideoProposals(
            *[rng.uniform(size=s) for s in ((count, 5), count, count, (count, 4))]
        )
        write_proposals(made, tmp_path / f"{name}.npz")
    one = np.zeros((0, 2)), np.zeros(0, np.int64)
    records = SegmentRecords.pack(
        [SegmentRecord("a", 10.0, 9.0, 8.0, *one), SegmentRecord("b", 5.0, 5.0, 5.0, *one)], []
    )
    dataset = ProposalDataset(records, str(tmp_path), top_k=3)
    batch = collate_proposals([dataset[0], dataset[(4, 1)]])
    assert batch["num_proposals"].tolist() == [2, 3]
    assert batch["proposal"].shape == (2, 3, 4)
    assert batch["proposal_feature"].shape == (2, 3, 4)
    assert not batch["proposal"][0, 2].any()
    assert batch["window"].tolist() == [[0, 8], [0, 5]]


RIGHT = {"proposals": np.ones((3, 5)), "iou": np.ones(3), "features": np.ones((3, 4))}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iou": np.ones(2)}, r"has proposals \(3, 5\), iou \(2,\), features \(3, 4\); expected"),
        ({"proposals": np.ones((3, 2))}, "expected proposals"),
        ({"features": np.ones(3)}, "expected proposals"),
        ({"features": np.full((3, 4), np.nan)}, "features has values that are no finite numbers"),
        ({"iou": np.array(["x"] * 3)}, "iou has values that are no finite numbers"),
        ({"features": np.ones((3, 7))}, "has features of 7 numbers, others of 4"),
        ({"iou": None}, "no array 'iou'"),
        (None, "cannot be read as an npz file"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, change, reason):
    none = np.zeros((0, 2)), np.zeros(0, np.int64)
    records = [SegmentRecord(name, 9.0, 9.0, 9.0, *none) for name in "ab"]
    np.savez(tmp_path / "a.npz", **RIGHT)
    np.savez(
        tmp_path / "b.npz", **{k: v for k, v in (RIGHT | (change or {})).items() if v is not None}
    )
    if change is None:
        (tmp_path / "b.npz").write_bytes((tmp_path / "b.npz").read_bytes()[:-30])
    dataset = ProposalDataset(SegmentRecords.pack(records, []), str(tmp_path), top_k=5)
    assert dataset[0]["num_proposals"] == 3
    with pytest.raises(ValueError, match=rf"b\.npz.* {reason}"):
        dataset[1]


def test_missing_proposals_say_where_they_come_from(tmp_path):
    none = np.zeros((0, 2)), np.zeros(0, np.int64)
    records = SegmentRecords.pack([SegmentRecord("a", 1.0, 1.0, 1.0, *none)], [])
    with pytest.raises(FileNotFoundError, match=r"1 of 1 videos .* `vidrec proposals run=DIR"):
        ProposalDataset(records, str(tmp_path / "none"), 3)
