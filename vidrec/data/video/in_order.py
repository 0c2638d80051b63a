"""Decoding a video from front to back as a plain decoder does, with the places of damage."""

from collections.abc import Iterator
from contextlib import suppress

import av
import numpy as np
from av.error import InvalidDataError

from vidrec.data.video.frame_index import OpenVideo


def decode_in_order(
    video: OpenVideo, damage: dict[int, int | None], left: set[int] | None = None
) -> Iterator[tuple[int, av.VideoFrame]]:
    """(place of its packet in the stream, frame), in order of display.

    damage: place -> time stamp of damaged packets; they are added to it before the frames that
        follow. left: the caller takes out of it the frames that it has; when it is empty, the
        decoder is emptied and decoding ends. None: to the end.
    """
    context = video.stream.codec_context
    context.copy_opaque = True
    for place, (packet, is_lost) in enumerate(video.demux_checked()):
        packet.opaque = (place,)  # comes back with its frame
        if is_lost:
            damage[place] = packet.pts
        try:
            frames = context.decode(packet)
        except InvalidDataError:
            damage[place] = packet.pts
            continue
        yield from ((_place(frame, place), frame) for frame in frames)
        if left is not None and not left and packet.size:
            with suppress(InvalidDataError):
                frames = context.decode(None)
                yield from ((_place(frame, place), frame) for frame in frames)
            break


def _place(frame: av.VideoFrame, place: int) -> int:
    return int(frame.opaque[0]) if isinstance(frame.opaque, tuple) else place


def number_of(pts: np.ndarray | None, time: int | None) -> int | None:
    """The frame with a time stamp, by the time stamps (F,) of all; None if there is none."""
    if pts is None or time is None:
        return None
    index = int(np.searchsorted(pts, time))
    return index if index < len(pts) and pts[index] == time else None
