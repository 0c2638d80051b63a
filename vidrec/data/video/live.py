"""Cameras, addresses and files that are still being written, opened to be read once."""

import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Literal, cast

import av
from av.container import InputContainer
from av.error import ExitError, FFmpegError

from vidrec.data.video.decoder import VideoError
from vidrec.data.video.stream import FrameStream

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://")
_SECRET = re.compile(r"//[^/@]*@")  # USER:PASSWORD@ of an address
_POLL_SECONDS = 0.02
_DEVICES = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}


@dataclass(frozen=True)
class LiveSource:
    """What is watched.

    text: camera:N, camera:NAME, an address such as rtsp://HOST/PATH, or a path.
    follow: a file is read on while it is being written, until `timeout` brings nothing more.
    wait: it waits for who reads it, where nothing may be left out, as files always do.
    timeout: seconds that a source may take to answer, or to go on.
    """

    text: str
    follow: bool = False
    wait: bool = False
    timeout: float = 10.0

    @property
    def name(self) -> str:
        """For messages and results: without a password.

        >>> LiveSource("rtsp://me:secret@host/door").name
        'rtsp://host/door'
        """
        return _SECRET.sub("//", self.text, count=1)

    @property
    def kind(self) -> Literal["camera", "address", "file"]:
        """
        >>> [LiveSource(text).kind for text in ("camera:0", "udp://:5000", "file:///a.ts", "a.ts")]
        ['camera', 'address', 'file', 'file']
        """
        if self.text.startswith("camera:"):
            return "camera"
        is_address = _ADDRESS.match(self.text) and not self.text.startswith("file://")
        return "address" if is_address else "file"

    @property
    def waits(self) -> bool:
        """Whether it is not at a loss if it is not read for a while."""
        return self.wait or self.kind == "file"

    def open(self, stop: Event) -> FrameStream:
        """The frames, as they come. Raises VideoError if there is nothing to read in time.

        stop: set by another thread, ends the reading of a file that is being written.
        """
        if self.kind == "file":
            path = self.text.removeprefix("file://")
            if not self.follow:
                return FrameStream(path, self.name)
            return self._stream(GrowingFile(path, self.timeout, stop), None)
        if self.kind == "camera":
            device = camera(self.text.removeprefix("camera:"))
            _check_is_there(self.text, *device)
            return self._stream(*device)
        return self._stream(self.text, None)

    def _stream(self, file: "str | GrowingFile", device: str | None) -> FrameStream:
        timeout = None if isinstance(file, GrowingFile) else (self.timeout, self.timeout)
        try:
            container = av.open(file, "r", format=device, timeout=timeout, metadata_errors="ignore")
            return FrameStream(cast(InputContainer, container), self.name)
        except (FFmpegError, OSError, VideoError) as error:
            raise VideoError(f"{self.name}: {self._problem(error)}") from error

    def reason(self, error: BaseException) -> str:
        """Why reading ended, without the name of the source."""
        cause = error.__cause__ if isinstance(error, VideoError) else error
        if isinstance(cause, ExitError):  # the timeouts of PyAV
            return f"no data for {self.timeout:g} s"
        if isinstance(cause, FFmpegError):
            return cause.strerror or str(cause)
        return str(error).removeprefix(f"{self.name}: ")

    def _problem(self, error: BaseException) -> str:
        """Why it cannot be opened, and what may help."""
        reason = self.reason(error)
        if self.kind == "camera":
            return f"the camera cannot be read: {reason}"
        if self.kind == "file":
            return (
                f"not readable while it is being written: {reason}; record .mkv, .ts or fragmented "
                ".mp4, whose beginning is complete"
            )
        if isinstance(error, ExitError):
            return f"no answer within {self.timeout:g} s"
        return f"cannot be opened: {reason}; check the address and that the server runs"


class GrowingFile:
    """A file whose end is waited for: reads return what there is, or wait for more.

    patience: seconds without anything new after which the file counts as complete. stop: ends
    waiting. Not seekable: FFmpeg would look for the end.
    """

    def __init__(self, path: str, patience: float, stop: Event) -> None:
        self.name = path
        self._patience = patience
        self._stop = stop
        if not os.path.exists(path):
            raise VideoError(f"{path}: the file does not exist")
        if not os.path.isfile(path):
            raise VideoError(f"{path}: a folder or a device, not a file")
        self._stream = Path(path).open("rb")  # noqa: SIM115 - `close` closes it

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        deadline = time.monotonic() + self._patience
        while not (content := self._stream.read(size)):
            if time.monotonic() > deadline or self._stop.wait(_POLL_SECONDS):
                return b""
        return content

    def close(self) -> None:
        """Release the file."""
        self._stream.close()


def camera(which: str, platform: str = sys.platform) -> tuple[str, str]:
    """What FFmpeg calls a camera, and the name of its input.

    which: a number from 0, or a name as the system shows it. Raises ValueError if neither will do.

    >>> camera("1", "linux"), camera("0", "darwin"), camera("USB Camera", "win32")
    (('/dev/video1', 'v4l2'), ('0:none', 'avfoundation'), ('video=USB Camera', 'dshow'))
    """
    device = _DEVICES.get(platform)
    if device is None or not which:
        raise ValueError(f"camera:{which}: cameras are numbered, e.g. camera:0")
    if device == "avfoundation":
        return f"{which}:none", device
    if device == "dshow":
        if which.isdecimal():
            raise ValueError(
                f"camera:{which}: Windows names cameras: pass camera:NAME with the name in the "
                "device manager"
            )
        return f"video={which}", device
    return f"/dev/video{which}" if which.isdecimal() else which, device


def _check_is_there(source: str, path: str, device: str) -> None:
    """Raise ValueError if the file of a camera is not there, on systems where it has one."""
    if device == "v4l2" and not os.path.exists(path):
        there = sorted(str(p) for p in Path("/dev").glob("video*"))
        raise ValueError(
            f"{source}: there is no {path}; "
            + (f"there are: {', '.join(there)}" if there else "the system shows no cameras")
        )
