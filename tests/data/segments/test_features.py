import os
import re
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
    with pytest.raises(ValueError, match=r"a\.npy contains an array of shape \(5,\)"):
        folder.read("a")
    with pytest.raises(ValueError, match=r"shape \(5,\)"):
        folder.shape("a")
    with pytest.raises(FileNotFoundError, match="no features of b"):
        folder.read("b")
    (tmp_path / "c.csv").write_text("f0,f1\n1,2\n3\n")
    with pytest.raises(ValueError, match=r"c\.csv cannot be read"):
        FeatureFolder(str(tmp_path), format="csv").read("c")


def test_a_stray_file_hides_nothing(tmp_path, sequence):
    """A video has the format that is there for it; of several, the first of npz, npy, pt, csv."""
    np.savez(tmp_path / "stats.npz", mean=np.zeros(5), std=np.ones(5))
    for number, (name, extension) in enumerate([("a", "npy"), ("b", "pt"), ("v_c", "csv")]):
        write(tmp_path, name, sequence + number, extension)
    write(tmp_path, "a", sequence + 7, "csv")
    folder = FeatureFolder(str(tmp_path))
    folder.prepare(["a", "b", "c"])
    for number, name in enumerate("abc"):
        assert name in folder
        assert folder.shape(name) == (7, 5)
        np.testing.assert_allclose(folder.read(name), sequence + number, rtol=1e-6)
    np.testing.assert_allclose(
        FeatureFolder(str(tmp_path), format="csv").read("a"), sequence + 7, rtol=1e-6
    )
    with pytest.raises(ValueError, match=r"stats\.npz has several arrays, mean \(5,\), std"):
        folder.shape("stats")


@pytest.mark.parametrize("extension", ["npz", "pt"])
def test_one_of_several_sequences_is_named(tmp_path, sequence, extension):
    arrays = {"rgb": sequence, "flow": sequence[:3], "fps": np.array(25.0)}
    if extension == "npz":
        np.savez(tmp_path / "a.npz", **arrays)
    else:
        torch.save(
            {name: torch.from_numpy(value) for name, value in arrays.items()}, tmp_path / "a.pt"
        )
    folder = FeatureFolder(str(tmp_path))
    several = r"a\.\w+ has several arrays, rgb \(7, 5\), flow \(3, 5\).*features\.array=rgb"
    for call in (folder.shape, folder.read):
        with pytest.raises(ValueError, match=several.replace("torch.Size(", "(")):
            call("a")
    flow = FeatureFolder(str(tmp_path), array="flow")
    assert flow.shape("a") == (3, 5)
    np.testing.assert_array_equal(flow.read("a"), sequence[:3])
    with pytest.raises(ValueError, match=r"a\.\w+ has no array audio; it has rgb"):
        FeatureFolder(str(tmp_path), array="audio").read("a")


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(7, 5, dtype=torch.bfloat16),
        torch.ones(7, 5, requires_grad=True),
        {"feature": torch.nn.Parameter(torch.ones(7, 5)), "fps": 25},
        np.ones((7, 5)),
    ],
    ids=["bf16", "grad", "parameter", "numpy"],
)
def test_whatever_torch_saved(tmp_path, tensor):
    torch.save(tensor, tmp_path / "a.pt")
    folder = FeatureFolder(str(tmp_path))
    assert folder.shape("a") == (7, 5)
    assert folder.read("a").dtype == np.float32
    assert (folder.read("a") == 1).all()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("f0,f1\n1,2\n3,x\n", "could not convert string 'x'"),
        ("f0,f1\n1,2\n3,\n", "could not convert string ''"),
        ("f0,f1\n1,2\n3\n", "columns"),
        ("1,x\n3,4\n", "its first line has 1 numbers, but also 'x'"),
        ("x,1\n3,4\n", "its first line has 1 numbers, but also 'x'"),
        ("f0,f1\n", "it has no features"),
        ("", "it has no features"),
        ("f0,f1\n1,2\n# 3,4\n", "could not convert string '# 3'"),
        ("f0,f1\n1,2\n3,nan\n", "not finite, the first in row 1, column 1"),
        ("f0,f1\n1,2\n3,1e60\n", "not finite, the first in row 1, column 1"),
        ("f0,f1\n1,\udcff\n", "utf-8"),
    ],
)
def test_bad_cells_of_a_csv(tmp_path, text, reason):
    (tmp_path / "a.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    folder = FeatureFolder(str(tmp_path))
    for call in (folder.read, folder.shape, lambda name: folder.prepare([name])):
        with pytest.raises(ValueError, match=rf"a\.csv .*{reason}"):
            call("a")


def test_numbers_that_are_none(tmp_path, sequence):
    sequence[2, 3] = np.inf
    np.save(tmp_path / "a.npy", sequence)
    np.save(tmp_path / "b.npy", sequence.astype(str))
    np.save(tmp_path / "c.npy", sequence.astype(complex))
    folder = FeatureFolder(str(tmp_path))
    with pytest.raises(ValueError, match=r"a\.npy .*not finite, the first in row 2, column 3"):
        folder.read("a")
    for name in "bc":
        with pytest.raises(ValueError, match=rf"{name}\.npy contains .*, not numbers"):
            folder.read(name)


def test_damaged_copies_are_made_anew_or_refused(tmp_path, sequence):
    """Every second byte of the header, and every sixteenth of the numbers."""
    write(tmp_path, "a", sequence, "csv")
    folder = FeatureFolder(str(tmp_path))
    folder.prepare(["a"])
    copy = tmp_path / ".vidrec" / "a.f32"
    intact = copy.read_bytes()
    header = intact.index(b"\n") + 1
    damaged = [intact[:at] for at in (0, 10, header, len(intact) - 1)]
    for at in [*range(0, header, 2), *range(header, len(intact), 16)]:
        damaged.append(intact[:at] + bytes([intact[at] ^ 1]) + intact[at + 1 :])
    damaged += [b"[1]\n" + intact, b"{}\n", b'{"version": 2}\n', b"[" * 9000]
    refused = 0
    for content in damaged:
        copy.write_bytes(content)
        try:
            found = folder.read("a")
        except ValueError as error:
            refused += re.search(r"a\.f32 is damaged; delete it", str(error)) is not None
        else:
            np.testing.assert_array_equal(found, sequence)
            assert folder.shape("a") == (7, 5)
    assert refused > 5


def test_mutated_files_give_a_sentence_with_their_name(tmp_path, sequence):
    generator = np.random.default_rng(3)
    messages = []
    for extension in ("csv", "npy", "npz", "pt"):
        file = write(tmp_path / extension, "a", sequence, extension)
        intact = file.read_bytes()
        folder = FeatureFolder(str(file.parent))
        for _ in range(25):
            at = int(generator.integers(len(intact)))
            changed = generator.bytes(int(generator.integers(1, 4)))
            file.write_bytes(intact[:at] + changed + intact[at + int(generator.integers(4)) :])
            for call in (folder.shape, folder.read):
                try:
                    assert len(call("a")) > 0
                except ValueError as error:
                    messages.append((str(file), str(error)))
    assert len(messages) > 50
    assert [text for file, text in messages if file not in text] == []
