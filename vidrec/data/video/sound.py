"""Copying the sound of a video into another file, packet by packet."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import av
from av.container import OutputContainer
from av.error import FFmpegError

_IN_MP4 = {"aac", "mp3", "ac3", "eac3", "opus", "alac"}  # what players expect there


class SoundCopy:
    """The first sound track of a file, if an mp4 may hold it as it is; a context manager.

    Made before the first packet is written to `target`. Sound ends where it is damaged.
    """

    def __init__(self, source: Path, target: OutputContainer) -> None:
        self._target = target
        self._packets: Iterator[av.Packet] = iter(())
        self._next: av.Packet | None = None
        self._container = None
        try:
            self._container = container = av.open(str(source), metadata_errors="ignore")
            tracks = container.streams.audio
            if not tracks or tracks[0].codec_context is None:
                return
            track = tracks[0]
            if track.codec_context.codec.canonical_name not in _IN_MP4 or track.time_base is None:
                return
            self._track = target.add_stream_from_template(track)
        except (FFmpegError, OSError, ValueError):
            return
        self._start = round((container.start_time or 0) / av.time_base / track.time_base)
        self._packets = container.demux(track)
        self._advance()

    def until(self, seconds: float) -> None:
        """Write the sound up to a time, in seconds from the beginning of the file."""
        while (packet := self._next) is not None:
            assert packet.dts is not None
            assert packet.time_base is not None
            if float((packet.dts - self._start) * packet.time_base) > seconds:
                return
            packet.dts -= self._start
            packet.pts = packet.dts
            packet.stream = self._track
            try:
                self._target.mux(packet)
            except FFmpegError:  # times that go back, for instance
                self._next = None
                return
            self._advance()

    def _advance(self) -> None:
        """Take the next packet that has a time."""
        self._next = None
        with contextlib.suppress(FFmpegError):
            self._next = next((p for p in self._packets if p.size and p.dts is not None), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._container is not None:
            self._container.close()
