"""Array files that are intact open as numpy and torch open them; others are refused by name."""

import io
import pickle
import re
import struct
import zipfile

import numpy as np
import pytest
import torch

from vidrec.files.arrays import npy_shape, npz_shapes, read_npy, read_npz, read_tensors

ARRAYS = {
    "scores": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "fortran": np.asfortranarray(np.arange(12, dtype=">i4").reshape(3, 4)),
    "names": np.array(["a", "längst"]),
    "scalar": np.array(0.5),
    "empty": np.zeros((0, 5)),
    "half": np.arange(4, dtype=np.float16),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_as_numpy_reads_it(tmp_path, save):
    path = tmp_path / "a.npz"
    save(path, **ARRAYS)
    for name, array in read_npz(path).items():
        np.testing.assert_array_equal(array, ARRAYS[name])
        assert array.dtype == ARRAYS[name].dtype
        assert array.flags.writeable
    assert read_npz(path, ["half", "empty"]).keys() == {"half", "empty"}
    assert npz_shapes(path) == {name: array.shape for name, array in ARRAYS.items()}
    with pytest.raises(ValueError, match=r"a\.npz.*no array 'boxes', only scores, fortran"):
        read_npz(path, ["boxes"])


@pytest.mark.parametrize("array", ARRAYS.values(), ids=list(ARRAYS))
@pytest.mark.parametrize("mmap", [False, True])
def test_npy_as_numpy_reads_it(tmp_path, array, mmap):
    path = tmp_path / "a.npy"
    np.save(path, array)
    read = read_npy(path, mmap=mmap)
    np.testing.assert_array_equal(read, array)
    assert npy_shape(path) == array.shape
    assert isinstance(read, np.memmap) == (mmap and array.size > 0)


@pytest.mark.parametrize("as_dict", [False, True])
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        torch.tensor([[1.5, -2.0]], dtype=torch.bfloat16),
        torch.tensor([[1.5, -2.0]], requires_grad=True),
        torch.nn.Parameter(torch.tensor([[1.5, -2.0]])),
        torch.tensor([[1.5, 0.0], [-2.0, 0.0]]).T[:1],
        np.array([[1.5, -2.0]]),
    ],
    ids=["bf16", "grad", "parameter", "strided", "numpy"],
)
def test_tensors_as_they_were(tmp_path, value, legacy, as_dict):
    path = tmp_path / "a.pt"
    content = {"feature": value, "fps": 25.0} if as_dict else value
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    (array,) = read_tensors(path).values()
    assert array.tolist() == [[1.5, -2.0]]
    assert type(array) is np.ndarray
    assert array.dtype == (np.float64 if isinstance(value, np.ndarray) else np.float32)


def test_a_pickled_call_is_refused_and_not_run(tmp_path):
    class Call:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    torch.save({"feature": torch.zeros(2, 2), "x": Call()}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"a\.pt cannot be read as a file of torch\.save: Unsafe"):
        read_tensors(tmp_path / "a.pt")
    objects = np.array([{"a": 1}, None])
    np.savez(tmp_path / "a.npz", objects=objects)
    with pytest.raises(ValueError, match=r"a\.npz cannot be read.*object"):
        read_npz(tmp_path / "a.npz")
    np.save(tmp_path / "a.npy", objects)
    with pytest.raises(ValueError, match=r"a\.npy cannot be read.*object"):
        read_npy(tmp_path / "a.npy")


def test_small_files_that_would_fill_the_memory(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, zeros=np.zeros(1 << 18))  # 2 MiB in about 2 kB
    assert path.stat().st_size < 1 << 13
    assert read_npz(path)["zeros"].shape == (1 << 18,)
    with pytest.raises(ValueError, match=r"a\.npz.*unpack to 2097280"):
        read_npz(path, max_bytes=1 << 20)
    path = tmp_path / "a.pt"
    torch.save(torch.zeros(1).expand(1 << 40), path)
    with pytest.raises(ValueError, match=r"a\.pt.*tensor \(1099511627776,\) repeats"):
        read_tensors(path)


def npy(shape: str, dtype: str = "<f4", content: bytes = b"") -> bytes:
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (npy("(1000000000000,)", content=b"\0" * 8), "4000000000000 bytes, but 8 are there"),
        (npy("(2,)", content=b"\0" * 9), "8 bytes, but 9 are there"),
        (npy("(-2, -1)", content=b"\0" * 8), "shape"),
        (npy("(10000000000000,)", dtype="<U0"), "text"),
        (npy("(1,)", dtype="<M8[s]", content=b"\0" * 8), "numbers"),
        (npy("(" * 300), "Error|header"),
        (npy("(2,"), "header|Error"),
        (b"\x93NUMPY\x03\x00" + npy("(0,)")[8:], "version"),
        (b"\x93NUMPY", "magic"),
        (b"", "magic"),
    ],
)
def test_headers_that_lie(tmp_path, content, reason):
    (tmp_path / "a.npy").write_bytes(content)
    for read in (read_npy, lambda path: read_npy(path, mmap=True)):
        with pytest.raises(ValueError, match=rf"a\.npy cannot be read as an npy file.*({reason})"):
            read(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", content)
    with pytest.raises(ValueError, match=rf"a\.npz cannot be read as an npz file.*({reason})"):
        read_npz(tmp_path / "a.npz")


def test_a_directory_that_lies_about_a_size(tmp_path):
    stream = io.BytesIO()
    array = np.arange(1000, dtype=np.float32)
    np.savez_compressed(stream, x=array)
    intact = stream.getvalue()
    entry = intact.index(b"PK\x01\x02")
    for size, reason in ((128, "CRC-32"), (1 << 28, "but 268435328 are there")):
        content = bytearray(intact)
        content[entry + 24 : entry + 28] = struct.pack("<I", size)
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(ValueError, match=rf"a\.npz cannot be read as an npz file.*{reason}"):
            read_npz(tmp_path / "a.npz")


FEATURES = np.random.default_rng(0).random((4, 8), np.float32)


def intact_files() -> dict[str, bytes]:
    streams = {name: io.BytesIO() for name in ("a.npy", "a.npz", "b.npz", "a.pt", "b.pt")}
    np.save(streams["a.npy"], FEATURES)
    np.savez(streams["a.npz"], feature=FEATURES, names=np.array(["x", "yy"]))
    np.savez_compressed(streams["b.npz"], feature=FEATURES)
    torch.save({"feature": torch.from_numpy(FEATURES)}, streams["a.pt"])
    torch.save(FEATURES, streams["b.pt"], _use_new_zipfile_serialization=False)
    return {name: stream.getvalue() for name, stream in streams.items()}


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "b.npz", "a.pt", "b.pt"])
def test_damaged_files_open_or_are_refused_by_name(tmp_path, name):
    intact = intact_files()[name]
    reader = {"npy": read_npy, "npz": read_npz, "pt": read_tensors}[name.rpartition(".")[2]]
    generator = np.random.default_rng(7)
    path = tmp_path / name
    messages = []
    for _ in range(60):
        content = bytearray(intact)
        at = int(generator.integers(len(content)))
        match generator.integers(4):
            case 0:
                content = content[:at]
            case 1:
                content[at : at + 16] = bytes(min(16, len(content) - at))
            case 2:
                content[at] ^= 1 << int(generator.integers(8))
            case 3:
                content[at:at] = generator.bytes(4)
        path.write_bytes(content)
        try:
            read = reader(path)
        except ValueError as error:
            messages.append(str(error))
        else:  # npy files and those of old versions of torch have no checksum
            array = read if name == "a.npy" else next(iter(read.values()))
            assert name in ("a.npy", "b.pt") or (array == FEATURES).all()
    assert len(messages) > 15
    assert all(re.match(rf"{re.escape(str(path))} cannot be read as .*$", m) for m in messages)


def test_files_of_another_kind(tmp_path):
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"feature": [1.0]}))
    with pytest.raises(ValueError, match=r"plain\.pt cannot be read as a file of torch\.save"):
        read_tensors(tmp_path / "plain.pt")
    torch.save({"fps": 25.0}, tmp_path / "none.pt")
    with pytest.raises(ValueError, match=r"none\.pt cannot be read.*no tensor"):
        read_tensors(tmp_path / "none.pt")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("notes.txt", "x")
    with pytest.raises(ValueError, match=r"a\.npz cannot be read as an npz file: it has no array"):
        read_npz(tmp_path / "a.npz")
    for reader in (read_npy, read_npz, read_tensors):
        with pytest.raises(FileNotFoundError, match="missing"):
            reader(tmp_path / "missing")
