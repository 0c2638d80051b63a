import os
import resource
import signal
import zipfile

import pytest
import torch

from vidrec.engine import checkpoint
from vidrec.engine.checkpoint import CheckpointError

CONTENT = {"net": {"w": torch.arange(50_000.0)}, "epoch": 1}


def content(epoch):
    return CONTENT | {"epoch": epoch}


@pytest.fixture
def small_disk():
    """Files may not grow past 64 KiB: writing fails half-way, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, before[1]))

    yield fill
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_what_is_written_is_read_and_can_be_loaded_safely(tmp_path):
    checkpoint.save_last(CONTENT, tmp_path)
    got = checkpoint.read(tmp_path / "last.pt")
    assert got["epoch"] == 1
    assert torch.equal(got["net"]["w"], CONTENT["net"]["w"])
    assert torch.load(tmp_path / "last.pt", weights_only=True)["format"] == checkpoint.FORMAT


def test_the_one_before_and_further_names_are_kept(tmp_path):
    for epoch in (1, 2, 3):
        names = ["best.pt"] if epoch == 1 else []
        checkpoint.save_last(content(epoch), tmp_path, [*names, f"epoch_{epoch}.pt"])
    epochs = {p.name: checkpoint.read(p)["epoch"] for p in tmp_path.iterdir()}
    assert epochs == {
        "last.pt": 3,
        "previous.pt": 2,
        "best.pt": 1,
        "epoch_1.pt": 1,
        "epoch_2.pt": 2,
        "epoch_3.pt": 3,
    }


def test_a_full_disk_leaves_the_checkpoints_as_they_were_and_says_so(tmp_path, small_disk):
    checkpoint.save_last(content(1), tmp_path, ["best.pt"])
    checkpoint.save_last(content(2), tmp_path)
    small_disk()
    with pytest.raises(CheckpointError, match=r"last\.pt could not be written: the disk is full.*"):
        checkpoint.save_last(content(3), tmp_path, ["best.pt"])
    epochs = {p.name: checkpoint.read(p)["epoch"] for p in tmp_path.iterdir()}
    assert epochs == {"last.pt": 2, "previous.pt": 1, "best.pt": 1}


@pytest.mark.parametrize("dies_in", ["save", "fsync", "link", "replace"])
def test_a_crash_while_writing_leaves_a_readable_checkpoint(tmp_path, monkeypatch, dies_in):
    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    checkpoint.save_last(content(1), tmp_path, ["best.pt"])
    target = torch if dies_in == "save" else os
    with monkeypatch.context() as patch:
        patch.setattr(target, dies_in, die)
        with pytest.raises(Killed):
            checkpoint.save_last(content(2), tmp_path, ["best.pt"])
    assert checkpoint.read_newest(tmp_path, print)["epoch"] == 1
    checkpoint.save_last(content(3), tmp_path)  # leftovers are in nobody's way
    assert checkpoint.read_newest(tmp_path, print)["epoch"] == 3


def test_best_is_named_before_last_moves_on(tmp_path, monkeypatch):
    """A run killed between the two would otherwise go on from a state whose best it never wrote."""
    seen = []
    real = os.replace

    def replace(source, target):
        seen.append(os.path.basename(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    checkpoint.save_last(CONTENT, tmp_path, ["best.pt"])
    assert seen == ["best.pt", "last.pt"]


@pytest.mark.parametrize("damage", ["cut", "empty", "head", "bit", "sector"])
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(tmp_path, damage):
    checkpoint.save_last(content(1), tmp_path)
    checkpoint.save_last(content(2), tmp_path)
    last = tmp_path / "last.pt"
    data = bytearray(last.read_bytes())
    if damage == "head":
        data[:200] = bytes(200)
    elif damage == "bit":  # of a weight
        data[len(data) // 2] ^= 1
    elif damage == "sector":
        data[4096:4608] = bytes(512)
    last.write_bytes({"cut": data[: len(data) // 2], "empty": b""}.get(damage, data))
    said = []
    assert checkpoint.read_newest(tmp_path, said.append)["epoch"] == 1
    assert "last.pt is damaged" in said[0]
    assert "previous.pt" in said[0]


def test_checkpoints_have_checksums_whatever_another_package_asked_for(tmp_path):
    torch.serialization.set_crc32_options(False)
    checkpoint.save_last(CONTENT, tmp_path)
    with zipfile.ZipFile(tmp_path / "last.pt") as archive:
        assert archive.testzip() is None
        assert all(member.CRC for member in archive.infolist())


def test_nothing_to_resume_from_is_told_from_nothing_readable(tmp_path):
    assert checkpoint.read_newest(tmp_path, print) is None
    (tmp_path / "last.pt").write_bytes(b"no")
    with pytest.raises(CheckpointError, match=r"last\.pt is damaged.*runtime\.resume=never"):
        checkpoint.read_newest(tmp_path, print)


def test_another_kind_of_file_is_refused(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=r"pass it as model\.weights"):
        checkpoint.read(tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="does not exist"):
        checkpoint.read(tmp_path / "absent.pt")


def test_pruning_counts_epochs_not_letters(tmp_path):
    for epoch in (9, 10, 11, 100):
        (tmp_path / f"epoch_{epoch}.pt").touch()
    (tmp_path / "epoch_best.pt").touch()
    checkpoint.prune(tmp_path, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "epoch_100.pt",
        "epoch_11.pt",
        "epoch_best.pt",
    ]
    (tmp_path / "epoch_12.pt").touch()
    checkpoint.prune(tmp_path, 4)  # more than there are
    assert len(list(tmp_path.iterdir())) == 4
