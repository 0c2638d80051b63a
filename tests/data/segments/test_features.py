import os
import time

import numpy as np
import pytest
import torch

from vidrec.data.segments import features as module
from vidrec.data.segments.features import FeatureFolder


@pytest.fixture
def sequence():
    return np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)


def write(folder, name, sequence, extension, header=True):
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.{extension}"
    if extension == "csv":
        titles = ",".join(f"f{i}" for i in range(sequence.shape[1])) if header else ""
        np.savetxt(file, sequence, fmt="%.9g", delimiter=",", header=titles, comments="")
        if not header:
            file.write_text(file.read_text().lstrip("\n"))
    elif extension == "npy":
        np.save(file, sequence)
    elif extension == "npz":
        np.savez(file, fps=25.0, feature=sequence.astype(np.float16))
    else:
        torch.save(torch.from_numpy(sequence), file)
    return file


@pytest.mark.parametrize("extension", ["csv", "npy", "npz", "pt"])
def test_every_format_gives_the_same(tmp_path, sequence, extension):
    write(tmp_path, "v_a", sequence, extension)
    folder = FeatureFolder(str(tmp_path))
    assert "v_a" in folder
    assert "a" in folder
    assert "b" not in folder
    folder.prepare(["v_a"])
    assert folder.shape("a") == (7, 5)
    found = folder.read("v_a")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, sequence, atol=2e-3 if extension == "npz" else 0)


def test_csv_without_a_header(tmp_path, sequence):
    write(tmp_path, "a", sequence, "csv", header=False)
    np.testing.assert_array_equal(FeatureFolder(str(tmp_path)).read("a"), sequence)


def test_channels_first(tmp_path, sequence):
    write(tmp_path, "a", np.ascontiguousarray(sequence.T), "npy")
    folder = FeatureFolder(str(tmp_path), channels_first=True)
    assert folder.shape("a") == (7, 5)
    np.testing.assert_array_equal(folder.read("a"), sequence)


def test_videos_in_subfolders(tmp_path, sequence):
    write(tmp_path / "one" / "two", "a", sequence, "npz")
    folder = FeatureFolder(str(tmp_path))
    assert folder.shape("one/two/a") == (7, 5)
    write(tmp_path / "one", "c", sequence, "csv")
    np.testing.assert_array_equal(
        FeatureFolder(str(tmp_path), format="csv").read("one/c"), sequence
    )


def test_csv_is_parsed_once(tmp_path, sequence, monkeypatch):
    write(tmp_path, "a", sequence, "csv")
    FeatureFolder(str(tmp_path)).prepare(["a"])
    monkeypatch.setattr(module, "_parse", None)
    np.testing.assert_array_equal(FeatureFolder(str(tmp_path)).read("a"), sequence)


def test_a_changed_csv_is_converted_again(tmp_path, sequence):
    file = write(tmp_path, "a", sequence, "csv")
    FeatureFolder(str(tmp_path)).prepare(["a"])
    before = file.stat()
    # As many bytes as before: only the time and the hash tell.
    file.write_text(file.read_text().replace("0.1257", "0.2257"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert file.stat().st_size == before.st_size
    changed = FeatureFolder(str(tmp_path)).read("a")
    assert not np.array_equal(changed, sequence)
    np.testing.assert_array_equal(changed, module._parse(file))


def test_a_touched_csv_is_not(tmp_path, sequence, monkeypatch):
    file = write(tmp_path, "a", sequence, "csv")
    FeatureFolder(str(tmp_path)).prepare(["a"])
    later = time.time_ns() + 10**9
    os.utime(file, ns=(later, later))
    monkeypatch.setattr(module, "_parse", None)
    np.testing.assert_array_equal(FeatureFolder(str(tmp_path)).read("a"), sequence)


def test_a_damaged_copy_is_noticed(tmp_path, sequence):
    write(tmp_path, "a", sequence, "csv")
    folder = FeatureFolder(str(tmp_path))
    folder.prepare(["a"])
    copy = tmp_path / ".vidrec" / "a.f32"
    content = bytearray(copy.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        folder.read("a")


def test_the_cache_may_lie_elsewhere(tmp_path, sequence):
    write(tmp_path / "in", "a", sequence, "csv")
    FeatureFolder(str(tmp_path / "in"), cache=str(tmp_path / "out")).prepare(["a"])
    assert (tmp_path / "out" / "a.f32").is_file()
    assert not (tmp_path / "in" / ".vidrec").exists()


def test_errors_name_the_file(tmp_path, sequence):
    with pytest.raises(FileNotFoundError, match=r"data\.features"):
        FeatureFolder(str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="has no features"):
        FeatureFolder(str(tmp_path))
    write(tmp_path, "a", sequence[0], "npy")
    folder = FeatureFolder(str(tmp_path))
    with pytest.raises(ValueError, match=r"a\.npy contains"):
        folder.read("a")
    with pytest.raises(ValueError, match=r"shape \(5,\)"):
        folder.shape("a")
    with pytest.raises(FileNotFoundError, match="no features of b"):
        folder.read("b")
    (tmp_path / "c.csv").write_text("f0,f1\n1,2\n3\n")
    with pytest.raises(ValueError, match=r"c\.csv cannot be read"):
        FeatureFolder(str(tmp_path), format="csv").read("c")
