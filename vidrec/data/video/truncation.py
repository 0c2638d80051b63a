"""Whether a file ends before its container says so: what is left often reads as a shorter video.

MPEG program and elementary streams and containers that were written live announce no end: of those
the end cannot be told.
"""

import io
import os
from typing import BinaryIO

_OGG_TAIL = 1 << 17  # a page has at most 65 kB
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_BROADCAST = 1


def announced_size(file: str | bytes, container: str) -> tuple[int, int]:
    """(bytes that are present, bytes that must be there by the structure of the file).

    container: FFmpeg's name of it. The second is at most the first unless the file is truncated.
    """
    with io.BytesIO(file) if isinstance(file, bytes) else open(file, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        match container.split(",")[0]:
            case "matroska":
                return size, _matroska(stream)
            case "mov":
                return size, _mp4(stream, size)
            case "avi":
                return size, _avi(stream, size)
            case "asf":
                return size, _asf(stream.read(4096))
            case "mpegts":
                return size, _transport(stream.read(3 * 204), size)
            case "ogg":
                stream.seek(max(0, size - _OGG_TAIL))
                return size, size + _ogg_rest(stream.read())
            case "flv":
                return size, _flv(stream, size)
            case "gif":
                stream.seek(max(0, size - 64))
                # A terminator of blocks, then the trailer.
                ends = stream.read().rstrip(b"\0\r\n ").endswith(b"\0;")
                return size, size if ends else size + 1
    return size, 0


def _matroska(stream: BinaryIO) -> int:
    """The end of the segment, which holds all frames."""
    for _ in range(2):  # EBML header, segment
        head = stream.read(4)
        length = stream.read(1)
        if len(head) < 4 or not length or not length[0]:
            return 0
        width = 9 - length[0].bit_length()
        value = int.from_bytes(bytes([length[0] & (0xFF >> width)]) + stream.read(width - 1))
        if head == b"\x18\x53\x80\x67":
            is_unknown = value == (1 << 7 * width) - 1
            return 0 if is_unknown else stream.tell() + value
        stream.seek(value, os.SEEK_CUR)
    return 0


def _mp4(stream: BinaryIO, size: int) -> int:
    """The end of the last box of frames or fragment; what a segment index lists counts too."""
    end = position = 0
    while position + 8 <= size:
        stream.seek(position)
        head = stream.read(16)
        length, kind, start = int.from_bytes(head[:4]), head[4:8], 8
        if length == 1:
            length, start = int.from_bytes(head[8:16]), 16
        if length < start:  # 0: up to the end of the file
            break
        position += length
        if kind in (b"moov", b"moof", b"mdat"):
            end = max(end, position)
        elif kind == b"sidx" and length < 1 << 20:
            stream.seek(position - length + start)
            end = max(end, position + _indexed_bytes(stream.read(length - start)))
    return end


def _indexed_bytes(sidx: bytes) -> int:
    """Bytes behind the index that its references cover."""
    first = 20 if sidx[:1] == b"\0" else 28  # 32 or 64 bits of time and offset
    width = 4 if first == 20 else 8
    offset = int.from_bytes(sidx[first - width : first])
    count = int.from_bytes(sidx[first + 2 : first + 4])
    entries = (sidx[first + 4 + 12 * i :][:4] for i in range(count))
    return offset + sum(int.from_bytes(entry) & 0x7FFFFFFF for entry in entries)


def _avi(stream: BinaryIO, size: int) -> int:
    """The end of the last list of frames; a list of an unfinished recording has no length."""
    end = position = riff_end = 0
    while position + 12 <= size:
        stream.seek(position)
        head = stream.read(12)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] == b"RIFF":
            riff_end = position + 8 + (length or size)
            position += 12  # into it
            continue
        if position >= riff_end:
            break  # behind the last one, anything may follow
        position += 8 + length
        if head[:4] == b"LIST" and head[8:] == b"movi" and length < 0xFFFFFFFF:
            end = position
        position += length % 2
    return end


def _asf(head: bytes) -> int:
    """The size of the file in its header, unless that is of a broadcast."""
    start = head.find(_ASF_PROPERTIES)
    if start < 0 or int.from_bytes(head[start + 88 : start + 92], "little") & _ASF_BROADCAST:
        return 0
    return int.from_bytes(head[start + 40 : start + 48], "little")


def _transport(head: bytes, size: int) -> int:
    """Whole packets, if the file starts with one."""
    for length, sync in ((188, 0), (192, 4), (204, 0)):
        if all(head[sync + n * length :][:1] == b"G" for n in range(3)):
            return -(-size // length) * length
    return 0


def _ogg_rest(tail: bytes) -> int:
    """Bytes that the last page lacks."""
    start = tail.rfind(b"OggS")
    if start < 0 or len(tail) < start + 27:
        return 1
    end_of_header = start + 27 + tail[start + 26]
    return max(0, end_of_header + sum(tail[start + 27 : end_of_header]) - len(tail))


def _flv(stream: BinaryIO, size: int) -> int:
    """The last four bytes are the length of the tag before them."""
    stream.seek(max(0, size - 4))
    length = int.from_bytes(stream.read(4))
    start = size - 4 - length
    if start < 9:
        return size + 1
    stream.seek(start)
    return size if int.from_bytes(stream.read(4)[1:]) + 11 == length else size + 1
