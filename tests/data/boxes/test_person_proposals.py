"""Proposal files of every format hold the same; nothing in a pickle is run."""

import os
import pickle

import numpy as np
import pytest

from vidrec.data.boxes.person_proposals import SUFFIXES, read_proposals, write_proposals

PERSONS = {
    "video,0902": np.array([[0.1, 0.2, 0.3, 0.4, 0.9], [0.5, 0.5, 0.75, 1.0, 0.25]], np.float32),
    "video,0903": np.array([[0, 0, 1, 1, 0.5]], np.float32),
}
SHARED: list[object] = [0.0]
for _ in range(40):
    SHARED = [SHARED, SHARED]  # 2^40 numbers


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_comma_in_the_name_of_a_video_is_kept(tmp_path, suffix):
    path = str(tmp_path / f"p{suffix}")
    write_proposals(path, {"one, two,0007": np.ones((1, 5))})
    assert list(read_proposals(path)) == ["one, two,0007"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read(tmp_path, suffix):
    path = str(tmp_path / "deep" / f"persons{suffix}")
    write_proposals(path, PERSONS)
    found = read_proposals(path)
    assert list(found) == list(PERSONS)
    for name, boxes in PERSONS.items():
        np.testing.assert_allclose(found[name], boxes, rtol=1e-6)
    assert os.listdir(tmp_path / "deep") == [f"persons{suffix}"]


def test_a_published_pickle_is_read(tmp_path):
    """As numpy wrote them: float64, protocol 2."""
    doubled = {name: boxes.astype(np.float64) for name, boxes in PERSONS.items()}
    path = tmp_path / "ava_dense_proposals_val.FAIR.recall_93.9.pkl"
    path.write_bytes(pickle.dumps(doubled, protocol=2))
    np.testing.assert_array_equal(read_proposals(str(path))["video,0902"], PERSONS["video,0902"])


class Evil:
    def __reduce__(self):
        return os.mkdir, (f"{os.environ['PYTEST_EVIL']}",)


def test_a_pickle_that_would_run_something_is_refused(tmp_path, monkeypatch):
    trace = tmp_path / "was_here"
    monkeypatch.setenv("PYTEST_EVIL", str(trace))
    (tmp_path / "p.pkl").write_bytes(pickle.dumps({"video,0902": Evil()}))
    with pytest.raises(ValueError, match=r"p\.pkl contains \w+\.mkdir, which is not data"):
        read_proposals(str(tmp_path / "p.pkl"))
    assert not trace.exists()


def test_keys_of_a_csv_have_four_digits_and_a_missing_score_is_one(tmp_path):
    (tmp_path / "p.csv").write_text("v,7,0,0,0.5,0.5\nv,0007,0.5,0.5,1,1,0.25\nv,7.5,0,0,1,1,1\n")
    found = read_proposals(str(tmp_path / "p.csv"))
    assert list(found) == ["v,0007", "v,7.5"]
    np.testing.assert_array_equal(found["v,0007"], [[0, 0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1, 0.25]])


@pytest.mark.parametrize("ends", [[1], [0, 1], [0, 2, 1], [1, 1, 2], [0, 1, 3]])
def test_an_npz_whose_ends_do_not_fit_is_told(tmp_path, ends):
    """Two keys and two boxes want the ends 0, i, 2."""
    path = str(tmp_path / "p.npz")
    np.savez(path, keys=np.array(["v,0001", "v,0002"]), boxes=np.zeros((2, 5)), ends=ends)
    with pytest.raises(ValueError, match="2 keys, 2 boxes and ends do not match"):
        read_proposals(path)


def test_times_of_keys_match_however_many_digits_they_have(tmp_path):
    (tmp_path / "p.json").write_text('{"v,902": [[0, 0, 1, 1]], "w,0903.0": [], "w,12.5": []}')
    found = read_proposals(str(tmp_path / "p.json"))
    assert {name: boxes.shape for name, boxes in found.items()} == {
        "v,0902": (1, 5),
        "w,0903": (0, 5),
        "w,12.5": (0, 5),
    }
    np.testing.assert_array_equal(found["v,0902"], [[0, 0, 1, 1, 1]])


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "p.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"boxes of shape \(1, 3\)"):
        write_proposals(str(path), {"v,0902": np.zeros((1, 3))})
    assert path.read_text() == "{}"
    assert os.listdir(tmp_path) == ["p.json"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.txt", b"", r"p\.txt does not end with one of \.pkl"),
        ("p.json", b"{", r"p\.json:1: not JSON"),
        ("p.json", b"[1]", r"contains a list, not a dictionary"),
        ("p.json", b'{"v,0902": [[1, 2, 3]]}', r"key 'v,0902': boxes of shape \(1, 3\)"),
        ("p.json", b'{"v,0902": ["a"]}', r"key 'v,0902': boxes of shape"),
        ("p.csv", b"v,0902,1,2\n", r"line 1: 'v,0902,1,2' is not video,timestamp"),
        ("p.pkl", b"nothing", r"p\.pkl is not a pickle"),
        ("p.csv", b"v,nan,0,0,1,1,1\n", r"line 1: .* is not video,timestamp"),
        ("p.csv", b"\n\nv,x,0,0,1,1,1\n", r"line 3: .* is not video,timestamp"),
        ("p.csv", b"\xff\xfe", r"p\.csv is not a csv in UTF-8"),
        ("p.json", b'{"v,1": [[0, 0, 1, 1]], "v,0001": []}', r"has the key 'v,0001' twice"),
        ("p.pkl", pickle.dumps(PERSONS)[:-30], r"p\.pkl is not a pickle"),
        ("p.pkl", pickle.dumps({"v,1": SHARED}), r"p\.pkl is not.*share their parts"),
        ("p.npz", b"nothing", r"p\.npz cannot be read as an npz file: BadZipFile"),
        ("p.npz", b"PK\x03\x04 cut off", r"p\.npz cannot be read as an npz file: BadZipFile"),
    ],
)
def test_what_is_no_proposal_file_is_told(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_proposals(str(tmp_path / name))


def test_a_missing_file_is_told(tmp_path):
    (tmp_path / "near.pkl").touch()
    with pytest.raises(FileNotFoundError, match=r"gone\.pkl does not exist; .*near\.pkl"):
        read_proposals(str(tmp_path / "gone.pkl"))
