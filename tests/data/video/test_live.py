"""What is live and cannot be opened, in a sentence; files that grow."""

import socket
import threading
import time

import pytest

from vidrec.data.video.decoder import VideoError
from vidrec.data.video.live import GrowingFile, LiveSource, camera

STOP = threading.Event()


def test_a_camera_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"camera:9: there is no /dev/video9; "):
        LiveSource("camera:9").open(STOP)
    with pytest.raises(ValueError, match=r"Windows names cameras: pass camera:NAME"):
        camera("0", "win32")
    with pytest.raises(ValueError, match=r"camera:: cameras are numbered"):
        camera("", "linux")


def test_what_is_no_camera_is_not_read(tmp_path):
    (tmp_path / "video9").write_bytes(b"0")
    with pytest.raises(VideoError, match=r"video9: the camera cannot be read: Inappropriate ioctl"):
        LiveSource(f"camera:{tmp_path}/video9").open(STOP)


def test_addresses_without_a_server_are_given_up():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    reason = "cannot be opened: Connection refused; check the address"
    with pytest.raises(VideoError, match=f"rtsp://127.0.0.1:{port}/door: {reason}"):
        LiveSource(f"rtsp://me:secret@127.0.0.1:{port}/door").open(STOP)
    with pytest.raises(VideoError, match=r"no answer within 0\.2 s"):
        LiveSource(f"udp://127.0.0.1:{port}", timeout=0.2).open(STOP)
    with pytest.raises(VideoError, match="cannot be opened: Protocol not found"):
        LiveSource("rstp://host/door").open(STOP)


def test_a_file_without_its_beginning_cannot_be_followed(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isom\0\0\0\0")
    for name, reason in (
        ("missing.ts", "the file does not exist"),
        ("", "a folder or a device"),
        ("a.mp4", "not readable while it is being written: .*; record .mkv, .ts or fragmented"),
    ):
        with pytest.raises(VideoError, match=reason):
            LiveSource(str(tmp_path / name), follow=True, timeout=0.1).open(STOP)


def test_reads_wait_for_what_is_not_written_yet(tmp_path):
    path = tmp_path / "growing"
    path.write_bytes(b"ab")
    growing = GrowingFile(str(path), 0.3, threading.Event())
    assert growing.read(10) == b"ab"

    def append():
        time.sleep(0.1)
        with path.open("ab") as file:
            file.write(b"cde")

    threading.Thread(target=append).start()
    assert growing.read(2) == b"cd"
    assert growing.read(2) == b"e"
    begin = time.monotonic()
    assert growing.read(2) == b""
    assert 0.3 <= time.monotonic() - begin < 2
    growing.close()


def test_waiting_ends_when_it_is_told_to(tmp_path):
    (tmp_path / "growing").write_bytes(b"")
    stop = threading.Event()
    growing = GrowingFile(str(tmp_path / "growing"), 60, stop)
    threading.Timer(0.05, stop.set).start()
    begin = time.monotonic()
    assert growing.read(2) == b""
    assert time.monotonic() - begin < 10
    growing.close()
