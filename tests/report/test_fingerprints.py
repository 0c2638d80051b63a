"""Hashes of lists and samples: equal for equal content, other for other content."""

import hashlib

import numpy as np
import pytest

from vidrec.data.clips.records import Records
from vidrec.report.fingerprints import digest_of_records, lists_of


def test_lists_are_the_files_of_a_split_with_their_sha256(tmp_path):
    path = tmp_path / "val.txt"
    path.write_bytes(b"a.mp4 0\n")
    data = {"val": {"records": {"path": [str(path)], "other": str(tmp_path)}}, "train": {"x": "y"}}
    expected = {"file": str(path), "sha256": hashlib.sha256(b"a.mp4 0\n").hexdigest()}
    assert lists_of(data, ["train", "val"]) == {"data.val.records.path.0": expected}


@pytest.mark.parametrize(
    "other",
    [(["a", "c"], [0, 1]), (["a", "b"], [0, 0]), (["b", "a"], [0, 1]), (["ab", ""], [0, 1])],
)
def test_other_samples_have_another_digest(other):
    first = digest_of_records(Records.pack(["a", "b"], [0, 1]))
    assert digest_of_records(Records.pack(["a", "b"], [0, 1])) == first
    assert digest_of_records(Records.pack(*other)) != first


def test_records_of_ones_own_that_cannot_be_hashed_have_no_digest():
    class Own:
        def __init__(self):
            self.rows = np.array([object()])

    assert digest_of_records(Own()) == ""
