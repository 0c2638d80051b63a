"""Weights as Hugging Face, numpy and zip archives hold them: as they were written, or refused."""

import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vidrec.files.checkpoint_files import open_checkpoint
from vidrec.files.weight_files import open_weights

STATE = {
    "encoder.weight": torch.arange(6.0).reshape(2, 3),
    "encoder.bias": torch.arange(2.0),
    "head.weight": torch.full((4,), 7.0),
}
PARTS = ({"encoder.weight", "head.weight"}, {"encoder.bias"})


def same(found, expected=STATE):
    assert found.keys() == expected.keys()
    assert all(torch.equal(torch.as_tensor(found[name]), t) for name, t in expected.items())
    return True


def split(folder, name, save):
    """The parts and the index that Hugging Face writes for a large model."""
    stem, _, suffix = name.rpartition(".")
    where = {}
    for number, names in enumerate(PARTS, start=1):
        file = f"{stem}-{number:05}-of-{len(PARTS):05}.{suffix}"
        save({n: STATE[n] for n in names}, folder / file)
        where |= dict.fromkeys(names, file)
    index = folder / f"{name}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 48}, "weight_map": where}))
    return index


FORMATS = {"model.safetensors": save_file, "pytorch_model.bin": torch.save}


@pytest.mark.parametrize("name", FORMATS)
def test_folders_of_hugging_face_whole_and_split(tmp_path, name):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
        (folder / "config.json").write_text('{"model_type": "videomae"}')
    FORMATS[name](STATE, whole / name)
    index = split(parts, name, FORMATS[name])
    assert same(open_weights(whole))
    assert same(open_weights(parts))
    assert same(open_weights(index))


def test_safetensors_are_preferred(tmp_path):
    save_file(STATE, tmp_path / "model.safetensors")
    (tmp_path / "pytorch_model.bin").write_bytes(b"not opened")
    assert same(open_weights(tmp_path))


def test_parts_that_are_missing_or_incomplete_are_named(tmp_path):
    index = split(tmp_path, "model.safetensors", save_file)
    second = tmp_path / "model-00002-of-00002.safetensors"
    save_file({"other": torch.zeros(1)}, second)
    with pytest.raises(ValueError, match=r"00002\.safetensors lacks encoder\.bias, which model"):
        open_weights(tmp_path)
    second.unlink()
    with pytest.raises(ValueError, match=rf"{index} lists 2 files, of which 1 are missing, such"):
        open_weights(tmp_path)


@pytest.mark.parametrize("name", ["../secret.pth", "/etc/passwd", "..", "a/b.bin", "a\\b.bin", 3])
def test_an_index_names_no_file_elsewhere(tmp_path, name):
    torch.save(STATE, tmp_path / "secret.pth")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(ValueError, match="has no weight_map from tensors to files beside it"):
        open_weights(folder)


def test_other_folders_say_which_checkpoints_they_have(tmp_path):
    torch.save(STATE, tmp_path / "best.pt")
    (tmp_path / "train.log").write_text("")
    with pytest.raises(ValueError, match=r"without model\.safetensors.* there are: best\.pt$"):
        open_weights(tmp_path)


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_of_numpy_are_weights_by_name(tmp_path, compressed):
    save = np.savez_compressed if compressed else np.savez
    save(tmp_path / "w.npz", **{name: t.numpy() for name, t in STATE.items()})
    (tmp_path / "w.npz").rename(tmp_path / "w.pth")  # whatever it is called
    assert same(open_weights(tmp_path / "w.pth"))


def test_arrays_of_objects_run_nothing(tmp_path, trace):
    objects = np.array([trace], dtype=object)
    np.savez(tmp_path / "w.npz", w=objects)
    with pytest.raises(ValueError, match=r"w\.npz cannot be read as an npz file: an array of obj"):
        open_weights(tmp_path / "w.npz")


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.path),)


@pytest.fixture
def trace(tmp_path):
    """An object that makes a folder when it is unpickled, which must not happen."""
    yield Hostile(tmp_path / "trace")
    assert not (tmp_path / "trace").exists()


def packed(path, files, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def written(tmp_path, content, **options):
    torch.save(content, tmp_path / "inner", **options)
    return (tmp_path / "inner").read_bytes()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("zip_format", [True, False])
def test_an_archive_around_one_checkpoint_is_that_checkpoint(tmp_path, zip_format, compression):
    data = written(tmp_path, STATE, _use_new_zipfile_serialization=zip_format)
    beside = {"__MACOSX/._model.pth": b"x", "model/README.md": b"A model"}
    path = packed(tmp_path / "m.zip", {"model/model.pth": data, **beside}, compression=compression)
    assert same(open_checkpoint(path))


def test_archives_with_another_number_of_checkpoints_say_which(tmp_path, trace):
    data = written(tmp_path, STATE)
    two = packed(tmp_path / "two.zip", {"a/rgb.pth": data, "a/flow.pth": data})
    with pytest.raises(ValueError, match=r"2 checkpoints, there are: a/rgb\.pth, a/flow\.pth"):
        open_checkpoint(two)
    none = packed(tmp_path / "none.zip", {"readme.txt": b"hello"})
    with pytest.raises(ValueError, match="a zip archive without a checkpoint"):
        open_checkpoint(none)
    nested = packed(tmp_path / "nested.zip", {"two.pth": packed(two, {"a.pth": data}).read_bytes()})
    with pytest.raises(ValueError, match=r"nested\.zip is truncated or corrupt"):
        open_checkpoint(nested)
    hostile = packed(tmp_path / "hostile.zip", {"model.pkl": pickle.dumps(trace)})
    with pytest.raises(ValueError, match=r"hostile\.zip was not opened: it refers to posix\.mkdir"):
        open_checkpoint(hostile)


def test_a_small_archive_does_not_unpack_to_a_large_checkpoint(tmp_path):
    zeros = b"\x80\x02" + bytes(1 << 25)
    path = packed(tmp_path / "bomb.zip", {"model.pth": zeros}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"bomb\.zip was not opened: its \d+ bytes unpack to 3355"):
        open_checkpoint(path)


def test_bounds_inside_are_those_of_the_archive_outside(tmp_path):
    """A pickle of 17 MiB in 1 MiB is within them (20 times), in 20 KiB it is not."""
    inner = tmp_path / "inner.pth"
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a/filler", bytes(1 << 20))
        pickled = pickle.dumps({"a": bytes(17 << 20)})
        archive.writestr("a/data.pkl", pickled, compress_type=zipfile.ZIP_DEFLATED)
    open_checkpoint(inner)
    path = packed(
        tmp_path / "m.zip", {"m.pth": inner.read_bytes()}, compression=zipfile.ZIP_DEFLATED
    )
    with pytest.raises(ValueError, match=r"m\.zip was not opened: its \d+ bytes unpack to 178"):
        open_checkpoint(path)


def test_a_missing_file_names_the_checkpoints_beside_it_alone(tmp_path):
    torch.save(STATE, tmp_path / "best.pt")
    (tmp_path / "bets.txt").write_text("")
    with pytest.raises(ValueError, match=r"no file .*bets\.pt; did you mean 'best\.pt'\?$"):
        open_weights(tmp_path / "bets.pt")
    with pytest.raises(ValueError, match=r"nor the folder .*gone$"):
        open_weights(tmp_path / "gone" / "best.pt")
    (tmp_path / "best.pt").unlink()
    with pytest.raises(ValueError, match=r"nor any other checkpoint beside it$"):
        open_weights(tmp_path / "best.pt")
