"""Times of one key frame match wherever files meet, however each of them writes them."""

import numpy as np
import pytest

from vidrec.data.boxes.annotations import read_ava
from vidrec.data.boxes.keys import EXCLUDED, KeyFrameNumbers, key, parse_key, second_of
from vidrec.metrics.ava_csv import read_detections
from vidrec.metrics.ava_ground_truth import rows_of_key_frames
from vidrec.metrics.ava_map import AVAMeanAP


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        (902.0, "v,0902"),
        (7, "v,0007"),
        (3 * 0.1, "v,0.3"),
        (901.9999999, "v,0902"),
        (1 / 3, "v,0.333333"),
        (-0.0, "v,0000"),
        (1e6 + 0.5, "v,1000000.5"),
        (100.0, "v,0100"),
    ],
)
def test_keys_are_written_without_the_noise_of_binary_fractions(timestamp, text):
    assert key("v", timestamp) == text
    assert parse_key(text)[1] == pytest.approx(timestamp, abs=5e-7)


def test_times_match_within_half_a_millisecond():
    """Frame 15 of 29.97 a second is at 0.5005 s: programs round it up or down."""
    numbers = KeyFrameNumbers([("v", 0.5005), ("v", 0.6), ("w", 0.5)])
    assert [numbers.find("v", time) for time in (0.5, 0.501, 0.50050050050)] == [0, 0, 0]
    assert [numbers.find("v", time) for time in (0.4999, 0.5011, 5005.0)] == [None] * 3
    assert numbers.find("w", 0.5005) == 2
    assert numbers.find("x", 0.5005) is None
    # The nearest counts, and a match is no new key frame.
    assert numbers.add("v", 0.5012) == 3
    assert [numbers.find("v", time) for time in (0.5008, 0.5009)] == [0, 3]
    assert numbers.add("v", 0.6000000001) == 1
    assert len(numbers) == 4


def test_negative_and_late_times_match_too():
    rng = np.random.default_rng(0)
    times = np.unique(rng.integers(-4000, 4_000_000, 500)) / 1000 * 2
    numbers = KeyFrameNumbers(("v", time) for time in times.tolist())
    for shift in (-0.0005, 0, 0.00049):
        assert [numbers.find("v", time + shift) for time in times.tolist()] == [*range(len(times))]


def test_seconds_of_a_bank_are_those_that_were_meant():
    assert [second_of(time) for time in (902, 902.5, 902.99999, 903, 9.3 * 100)] == [
        *(902, 902, 903, 903, 930)
    ]


def test_all_files_meet_at_the_same_key_frames(tmp_path):
    """Thirds of a second, in every file with another number of decimals."""
    box = "0.1,0.1,0.5,0.5"
    thirds = [902 + n / 3 for n in range(9)]
    files = {
        "a.csv": [f"v,{time:.3f},{box},12,0\nv,{time:.6f},{box},14,0" for time in thirds],
        "out.csv": [f"v,{thirds[8]}"],
        "p.csv": [f"v,{time:.4f},{box},0.95" for time in thirds],
        "found.csv": [f"v,{time},{box},12,0.9\nv,{time:.5f},{box},14,0.8" for time in thirds],
    }
    for name, lines in files.items():
        (tmp_path / name).write_text("\n".join(lines))
    path = {name: str(tmp_path / name) for name in files}
    records = read_ava(path["a.csv"], None, path["out.csv"], path["p.csv"])
    assert [frame.labels for frame in records] == [((12, 14),)] * 8
    assert records.num_whole_frames == 0
    np.testing.assert_allclose(records.proposals.values, [[0.1, 0.1, 0.5, 0.5]] * 8)
    names = read_detections(path["found.csv"]).names
    assert set(rows_of_key_frames(records, names).tolist()) == {*range(8), EXCLUDED}
    assert AVAMeanAP(records).score_file(path["found.csv"]) == {"mAP@0.5": 1}


def test_two_spellings_of_one_key_frame_in_a_proposal_file_are_told(tmp_path):
    (tmp_path / "a.csv").write_text("v,0902.5,0.1,0.1,0.4,0.4,12,0\n")
    (tmp_path / "p.csv").write_text("v,902.5,0,0,1,1,1\nv,902.5004,0,0,1,1,1\n")
    with pytest.raises(ValueError, match=r"p\.csv: the keys 'v,902.5' and 'v,902.5004' are one"):
        read_ava(str(tmp_path / "a.csv"), proposal_file=str(tmp_path / "p.csv"))
