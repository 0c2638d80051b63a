import os
import signal
import subprocess
import sys

import pytest

from tests.paths import ROOT
from vidrec.files.atomic_write import atomic_write, check_writable


def test_the_file_has_its_name_only_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "a.csv"
    with atomic_write(path, "w") as stream:
        stream.write("à,1\n")
        assert not path.exists()
    assert path.read_bytes() == "à,1\n".encode()
    assert os.listdir(path.parent) == ["a.csv"]


def test_a_failure_keeps_what_was_there_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"before")

    def fail():
        with atomic_write(path) as stream:
            stream.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a.npz"]


def test_a_killed_process_keeps_what_was_there(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"before")
    code = f"""
import os, signal
from vidrec.files.atomic_write import atomic_write
with atomic_write({str(path)!r}) as stream:
    stream.write(b"half")
    stream.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"before"


def test_of_several_writers_each_file_is_whole(tmp_path):
    path = tmp_path / "a.npz"
    with atomic_write(path) as first, atomic_write(path) as second:
        first.write(b"1" * 10)
        second.write(b"2" * 20)
        first.flush()
        second.flush()
    assert path.read_bytes() == b"1" * 10  # the outer block ends last


def test_whether_a_file_can_be_written_is_known_before_and_nothing_is_created(
    tmp_path, monkeypatch
):
    (tmp_path / "old.csv").write_text("before")
    for path in ("new/folder/a.csv", "a.csv", "old.csv"):
        check_writable(tmp_path / path)
    check_writable(tmp_path / "new", is_folder=True)
    check_writable(tmp_path, is_folder=True)
    monkeypatch.chdir(tmp_path)
    check_writable("b.csv")
    assert os.listdir(tmp_path) == ["old.csv"]
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(OSError, match=f"a.csv cannot be written: {tmp_path} is read-only"):
        check_writable(tmp_path / "new" / "a.csv")
