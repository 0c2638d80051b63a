"""Checkpoints of every format: read as torch reads them, or refused by name if they are damaged."""

import hashlib
import io
import pickle
import re
import struct
import time
import warnings
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.paths import GOLDEN
from vidrec.files import safe_pickle
from vidrec.files.checkpoint_files import load_pickle, open_checkpoint

# Written by torch 2.15 with what MMEngine 0.10.7 keeps in a checkpoint during training: MessageHub
# with logged histories, ConfigDict, an optimizer, numpy arrays and a RandomState. Each weight of
# backbone.conv1 (2, 3, 3, 3) counts from 0.
FIGURES = GOLDEN / "weights"


@pytest.mark.parametrize("name", ["mmengine.pth", "mmengine_legacy.pth"])
def test_a_training_checkpoint_of_mmengine_opens_without_its_packages(name):
    with pytest.raises(pickle.UnpicklingError):  # what this module is for
        torch.load(FIGURES / name, weights_only=True)
    opened = open_checkpoint(FIGURES / name)
    weight = opened["state_dict"]["backbone.conv1.weight"]
    assert torch.equal(weight, torch.arange(54.0).reshape(2, 3, 3, 3))
    assert opened["meta"]["dataset_meta"] == {"classes": ("a", "b")}
    np.testing.assert_array_equal(opened["message_hub"]["runtime_info"]["histogram"], range(4))
    assert isinstance(opened["message_hub"]["log_scalars"]["train/loss"], safe_pickle.StandIn)
    assert opened["config"]["model"]["type"] == "TSN"
    assert opened["optimizer"]["param_groups"][0]["momentum"] == 0.9


@pytest.mark.parametrize("zip_format", [True, False])
def test_torch_files_come_out_as_torch_reads_them(tmp_path, zip_format):
    base = torch.randn(4, 6)
    saved = {
        "view": base[1:3, ::2],
        "transposed": base.t(),
        "half": base.half(),
        "bfloat16": base.bfloat16(),
        "integer": torch.arange(3),
        "bool": torch.tensor([True, False]),
        "parameter": torch.nn.Parameter(base),
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(1.5),
    }
    torch.save(saved, tmp_path / "a.pt", _use_new_zipfile_serialization=zip_format)
    back = open_checkpoint(tmp_path / "a.pt")
    for name, tensor in saved.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor), name


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_tensors_in_plain_pickles(protocol):
    base = torch.arange(6.0)
    table = {
        "tensor": base,
        "view": base[2:4],
        "parameter": nn.Parameter(torch.ones(2)),
        "size": torch.Size([1, 2]),
        "dtype": torch.float16,
    }
    back = load_pickle(io.BytesIO(pickle.dumps(table, protocol=protocol)))
    for name in ("tensor", "view", "parameter"):
        assert torch.equal(back[name], table[name])
    assert (back["size"], back["dtype"]) == (table["size"], table["dtype"])


def test_tensors_that_share_values_still_do(tmp_path):
    weight = torch.zeros(3)
    for is_zip in (True, False):
        torch.save([weight, weight[1:]], tmp_path / "a.pt", _use_new_zipfile_serialization=is_zip)
        first, second = open_checkpoint(tmp_path / "a.pt")
        first += 1
        assert second.tolist() == [1, 1]
        assert not first._is_view()  # in-place operations would be those on a view


# Damage

STATE = {"a.weight": torch.arange(1500.0), "a.bias": torch.arange(7), "epoch": 3}


def intact(name):
    """The same tensors in every format that has a checksum, by the name of its file."""
    stream = io.BytesIO()
    if name == "program.pt":
        net = nn.Module()
        net.a = nn.Module()
        net.a.weight = nn.Parameter(STATE["a.weight"])
        net.a.register_buffer("bias", STATE["a.bias"])
        with warnings.catch_warnings(action="ignore"):  # TorchScript is deprecated, its files stay
            torch.jit.save(torch.jit.script(net), stream)
    else:
        torch.save(STATE, stream, _use_new_zipfile_serialization=name == "archive.pt")
    return stream.getvalue()


def damaged(data, generator):
    """The data with a bit flipped, a sector of zeros, or without its end."""
    data = bytearray(data)
    at = int(generator.integers(len(data)))
    match generator.integers(3):
        case 0:
            data[at] ^= 1 << int(generator.integers(8))
        case 1:
            start = at // 512 * 512
            data[start : start + 512] = bytes(len(data[start : start + 512]))
        case 2:
            del data[at:]
    return bytes(data)


@pytest.mark.parametrize("name", ["archive.pt", "program.pt", "legacy.pt"])
def test_a_damaged_file_is_refused_by_name_or_its_tensors_are_intact(tmp_path, name):
    data = intact(name)
    path = tmp_path / name
    if name == "legacy.pt":  # has no checksum but the one in the name
        path = tmp_path / f"legacy-{hashlib.sha256(data).hexdigest()[:8]}.pt"
    generator = np.random.default_rng(0)
    messages = []
    for _ in range(80):
        path.write_bytes(damaged(data, generator))
        try:
            found = open_checkpoint(path)
        except ValueError as error:
            messages.append(str(error))
        else:  # damaged in the program, say, or in the padding
            for key in ("a.weight", "a.bias"):
                assert torch.equal(found[key], STATE[key])
    assert len(messages) > 30
    assert all(re.match(rf"{re.escape(str(path))} (is|was) .*$", m) for m in messages)


def test_every_bit_of_the_values_is_checked(tmp_path):
    path = tmp_path / "a.pt"
    torch.save(STATE, path)
    data = path.read_bytes()
    start = data.index(STATE["a.weight"].numpy().tobytes())
    for at in (start, start + 3000, start + 5999):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(ValueError, match=r"a\.pt is truncated or corrupt.*CRC-32.*data/0"):
            open_checkpoint(path)


def test_an_archive_without_checksums_is_read_as_it_is(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(STATE, tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(open_checkpoint(tmp_path / "a.pt")["a.weight"], STATE["a.weight"])


def test_the_hash_in_a_name_is_that_of_the_content(tmp_path):
    save_file({"w": torch.zeros(3)}, tmp_path / "w")
    data = (tmp_path / "w").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    good = tmp_path / f"tsn-{digest[:8]}.safetensors"
    good.write_bytes(data)
    assert open_checkpoint(good)["w"].tolist() == [0, 0, 0]
    good.write_bytes(data[:-1] + b"\1")
    with pytest.raises(ValueError, match=rf"{good} is damaged.*{digest[:8]}.*delete it.*rename it"):
        open_checkpoint(good)
    dated = tmp_path / "tsn-20240131.safetensors"
    dated.write_bytes(data)
    open_checkpoint(dated)


# Small files that ask for much


def archive(path, pickled, values=b"", **options):
    with zipfile.ZipFile(path, "w", **options) as file:
        file.writestr("archive/data.pkl", pickled)
        file.writestr("archive/data/0", values)
        if path.name == "program.pt":
            file.writestr("archive/constants.pkl", b"")
    return path


def refusal(path):
    """Why the file is not opened, in less than two seconds."""
    started = time.process_time()
    with pytest.raises(ValueError, match=re.escape(str(path))) as error:
        open_checkpoint(path)
    assert time.process_time() - started < 2
    return str(error.value)


def test_a_program_of_shared_modules(tmp_path):
    module = b"c__torch__\nM\n)\x81q\x00}b0"
    for number in range(1, 41):
        below = bytes([number - 1])
        module += b"c__torch__\nM\n)\x81q%c}(X\1\0\0\0ah%cX\1\0\0\0bh%cub0" % (
            number,
            *below,
            *below,
        )
    path = archive(tmp_path / "program.pt", b"\x80\x02" + module + b"h\x28.")
    assert path.stat().st_size < 3000
    assert "share their parts" in refusal(path)


def shared_lists():
    pair = [0]
    for _ in range(40):
        pair = [pair, pair]
    return pair


@pytest.mark.parametrize("writer", ["zip", "legacy", "pickle"])
def test_shared_lists(tmp_path, writer):
    path = tmp_path / "lists.pt"
    content = {"state_dict": {}, "about": {"net": shared_lists()}}
    if writer == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=writer == "zip")
    assert "share their parts" in refusal(path)


def test_lists_where_a_legacy_file_has_its_version(tmp_path):
    path = tmp_path / "a.pt"
    magic = pickle.dumps(torch.serialization.MAGIC_NUMBER, 2)
    path.write_bytes(magic + pickle.dumps(shared_lists(), 2) + magic)
    assert "share their parts" in refusal(path)


def test_storages_in_storages(tmp_path):
    """A tensor in a plain pickle is a legacy file, in which there is nothing but a storage."""
    inner = io.BytesIO()
    torch.save(torch.zeros(1), inner, _use_new_zipfile_serialization=False)
    data = inner.getvalue()
    for _ in range(2):
        twice = b"\x80\x02ctorch.storage\n_load_from_bytes\nB%s\x85q\0R0" % (
            struct.pack("<I", len(data)) + data
        )
        data = b"".join(
            [
                *(pickle.dumps(v, 2) for v in (torch.serialization.MAGIC_NUMBER, 1001)),
                pickle.dumps({"little_endian": True}, 2),
                twice + b"N.",
                pickle.dumps([], 2),
            ]
        )
    (tmp_path / "a.pt").write_bytes(data)
    assert "_load_from_bytes" in refusal(tmp_path / "a.pt")


def test_archives_that_unpack_to_gigabytes(tmp_path):
    options = {"compression": zipfile.ZIP_DEFLATED}
    np.savez_compressed(tmp_path / "a.npz", zeros=np.zeros(8, np.uint8))
    assert "data.pkl" in refusal(tmp_path / "a.npz")
    huge = archive(tmp_path / "pickle.pt", bytes(1 << 25), **options)  # of 33 kB
    assert f"unpack to {1 << 25}" in refusal(huge)
    data = bytearray(archive(tmp_path / "values.pt", b"N.", b"0" * 999, **options).read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", 0xF0000000)
    (tmp_path / "values.pt").write_bytes(data)
    assert "unpack to 40265" in refusal(tmp_path / "values.pt")


def tensor_pickle(count, size, stride=1):
    number = b"\x8a\x08" + struct.pack("<q", count)
    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\n"
        b"X\1\0\0\0" + b"0X\3\0\0\0cpu" + number + b"tQK\0\x8a\x08" + struct.pack("<q", size)
        + b"\x85K" + bytes([stride]) + b"\x85\x89NtR."
    )  # fmt: skip


def test_tensors_that_claim_more_values_than_there_are(tmp_path):
    values = np.arange(4, dtype=np.float32).tobytes()
    path = archive(tmp_path / "a.pt", tensor_pickle(4, 4), values)
    assert open_checkpoint(path).tolist() == [0, 1, 2, 3]
    for count, size, stride, reason in (
        (1 << 40, 4, 1, "does not have 1099511627776 values"),
        (3, 3, 1, "does not have 3 values"),
        (-4, 4, 1, "reference"),
        (4, 5, 1, "out of bounds"),
        (4, 1 << 40, 0, "repeats the 4 values"),
    ):
        path = archive(tmp_path / "a.pt", tensor_pickle(count, size, stride), values)
        assert reason in refusal(path)
    legacy = [torch.serialization.MAGIC_NUMBER, 1001, {"little_endian": True}]
    path = tmp_path / "legacy.pt"
    pickles = [*(pickle.dumps(v, 2) for v in legacy), tensor_pickle(1 << 40, 1)]
    path.write_bytes(b"".join([*pickles, pickle.dumps(["0"], 2), bytes(16)]))
    assert "4398046511104 bytes of tensors" in refusal(path)
    pickles[-1] = tensor_pickle(2, 2)
    path.write_bytes(b"".join([*pickles, pickle.dumps([], 2)]))  # nothing would fill the tensor
    assert "not those that it lists" in refusal(path)
