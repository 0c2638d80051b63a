"""A bank gives what was put into it, second by second, zeros elsewhere (Wu et al., section 3.2)."""

import re
from pathlib import Path

import numpy as np
import pytest

from vidrec.data.boxes.feature_bank import FeatureBank, write_bank


def rows(count, start):
    return np.arange(start, start + count)[:, None] * np.ones(3)


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / "deep" / "bank.npy")
    write_bank(path, {"a": {10: rows(2, 1), 12: rows(7, 10)}, "b": {11: rows(1, 100)}})
    return path


def test_features_lie_at_their_seconds(path):
    bank = FeatureBank(path, window_size=6, max_num_sampled_feat=3)
    found = bank.features("a", 11.0, np.random.default_rng(0)).reshape(6, 3, 3)
    assert found.dtype == np.float32
    # Seconds 8 to 13.
    np.testing.assert_array_equal(found[2], [*rows(2, 1), [0, 0, 0]])
    assert not found[[0, 1, 3, 5]].any()
    assert set(found[4, :, 0]) <= set(range(10, 17))
    assert len(set(found[4, :, 0])) == 3


def test_what_is_too_much_is_drawn_anew(path):
    bank = FeatureBank(path, window_size=2, max_num_sampled_feat=5)
    seen = {
        tuple(sorted(bank.features("a", 13, np.random.default_rng(seed))[:5, 0].tolist()))
        for seed in range(40)
    }
    assert len(seen) > 5
    assert {value for draw in seen for value in draw} == set(range(10, 17))
    same = [bank.features("a", 13, np.random.default_rng(3)) for _ in range(2)]
    np.testing.assert_array_equal(*same)


def test_videos_that_are_not_in_it_have_zeros(path):
    bank = FeatureBank(path, window_size=4, max_num_sampled_feat=2)
    assert bank.features("c", 11, np.random.default_rng(0)).shape == (8, 3)
    assert not bank.features("c", 11, np.random.default_rng(0)).any()


def test_a_missing_bank_and_bad_settings_are_told(tmp_path, path):
    with pytest.raises(FileNotFoundError, match=r"gone\.npy does not exist; `vidrec bank` writes"):
        FeatureBank(str(tmp_path / "gone.npy"))
    with pytest.raises(ValueError, match=r"window_size=0"):
        FeatureBank(path, window_size=0)


def test_a_bank_of_other_videos_is_refused(path, tmp_path):
    bank = FeatureBank(path)
    bank.check(["c", "b"])  # a video may have no person at all
    with pytest.raises(ValueError, match=r"none of the 2 annotated videos, c and .* but a and oth"):
        bank.check(["c", "d"])
    empty = str(tmp_path / "empty.npy")
    write_bank(empty, {})
    with pytest.raises(ValueError, match=r"empty\.npy has .* it is empty"):
        FeatureBank(empty).check(["c"])


def test_features_that_are_not_finite_are_refused(path):
    write_bank(path, {"a": {10: rows(2, 1), 12: rows(1, 1) * np.inf}})
    bank = FeatureBank(path, window_size=4, max_num_sampled_feat=2)
    with pytest.raises(ValueError, match=rf"{path}: features of a around 11 are not finite"):
        bank.features("a", 11, np.random.default_rng(0))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-2],
        lambda content: content + b"xx",
        lambda content: content[:8],
        lambda content: b"PK" + content[2:],
        lambda content: content.replace(b"'<f2'", b"'<i2'"),
        lambda content: content.replace(b"'<f2'", b"'|O2'"),
        lambda content: content.replace(b"(10, 3)", b"(30,)  "),
        lambda content: content.replace(b"(10, 3)", b"(99, 3)"),
        lambda content: content.replace(b"'shape'", b"'sha(('"),
    ],
)
def test_a_damaged_bank_is_named(path, damage):
    content = Path(path).read_bytes()
    changed = damage(content)
    assert changed != content
    Path(path).write_bytes(changed)
    with pytest.raises(ValueError, match=re.escape(path)):
        FeatureBank(path)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("", r"not JSON"),
        ("[1]", r"is not the index of a bank"),
        ('{"a": [0, 10]}', r"is not the index of a bank"),
        ('{"a": {"10": [0, 11]}}', r"a, second 10: \[0, 11\] is not .* within the 10 rows of"),
        ('{"a": {"10": [5, 4]}}', r"a, second 10: \[5, 4\] is not"),
        ('{"a": {"10": [-1, 4]}}', r"a, second 10: \[-1, 4\] is not"),
        ('{"a": {"10": [0.0, 4]}}', r"a, second 10: \[0\.0, 4\] is not"),
        ('{"a": {"10": [0]}}', r"a, second 10: \[0\] is not"),
        ('{"a": {"10": null}}', r"a, second 10: None is not"),
        ('{"a": {"ten": [0, 10]}}', r"a, second ten"),
        ('{"a": {"10": [0, 9]}}', r"lists 9 rows, .*bank\.npy has 10: they are not of one bank"),
    ],
)
def test_an_index_that_does_not_belong_to_the_bank_is_named(path, index, message):
    file = path.replace(".npy", ".json")
    Path(file).write_text(index)
    with pytest.raises(ValueError, match=rf"{re.escape(file)}.*{message}"):
        FeatureBank(path)
